"""DeepLabV3+ written from scratch: one readable network, its options and its model configs."""
