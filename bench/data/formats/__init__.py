"""File formats that several data sets share: images, masks, tables, polygons, run lengths, large JSON."""
