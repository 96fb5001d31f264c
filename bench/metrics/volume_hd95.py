"""HD95 in three dimensions: of whole volumes, put together from their slices.

What it measures:
    As `hd95`, with the surface of a body in the place of the outline in each slice: an error is measured to the
    nearest surface in any slice.

Definition:
    The slices of each volume that are scored are put together by their numbers; slices between them that are no images
    of the split are void. The surface of a body is the voxels of it with a neighbour (of six) outside it, distances are
    those of voxel centres, in millimetres where the spacing in all three directions is known, else in voxels. For each
    volume and class as `hd95`; the mean over volumes, then over classes without background. A class that is missed
    or invented in a volume takes the volume's diagonal; both are counted. Lower is better.

When undefined:
    As `hd95`, and where no image is a slice of a volume.

Differs from:
    `hd95`, which measures slice by slice. Intervals leave out patients, or whatever the data set groups its
    slices by; volumes where it knows no groups.

Source:
    As `hd95`.
"""

from bench.metrics._distance_measures import HD95

METRIC = HD95.over("volume")
