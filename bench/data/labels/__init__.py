"""Label spaces map by name, never by position.

Two mappings, both from names to names and both applied to arrays by `mapping`:

* a suite's `labels:` selects, merges and drops classes of a data set (`selection`). The data set is
  wrapped (`dataset`), so that training, scores, reports and colours all see the mapped classes;
* a model with `trained_on:` predicts the classes of another label space (`spaces`). Its stored
  predictions stay what it said; they are mapped to the suite's classes when they are read to be
  scored (`predictions`), by equal names, by the synonyms of `synonyms.yaml` and by the suite's own.

Tables of published label spaces: `coco.csv` here, those of the data sets in `bench/data/formats/_labels/`.
"""
