"""Training losses by name, and weighted sums of them: `0.5*cross_entropy + 0.5*dice`.

    cross_entropy, bce, weighted_cross_entropy, focal(alpha, gamma)           pixelwise.py
    dice, generalised_dice, tversky(alpha, beta), jaccard                     overlap.py
    lovasz                                                                    lovasz.py
    boundary                                                                  boundary.py

Each file has the formulas and their sources, `recipe.py` the names and the grammar. Of all losses
holds:

- Pixels labelled `IGNORE_LABEL` are left out of every sum and mean, which run over the other
  pixels of the whole batch. Where there are none the loss is 0 and its gradient too.
- They take a softmax head (K channels) and a sigmoid head (one channel, the foreground).
- They are computed in float32 whatever the precision of the forward pass.
- An answer that is certain and right costs nothing, also for classes that do not occur.

What PyTorch has is used as it is (`F.cross_entropy`, `F.binary_cross_entropy_with_logits`). The
ready-made others miss at least one of the four points, as each file says, and smp's and MONAI's
would make the U-Net need their package; tests hold ours to smp's and torchvision's where the
definitions agree, and to loops over pixels everywhere.
"""

from adapters._torch.training.losses.recipe import LOSSES, read_loss
from adapters._torch.training.losses.terms import Loss

__all__ = ["LOSSES", "Loss", "read_loss"]
