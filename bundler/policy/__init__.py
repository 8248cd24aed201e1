"""What upstream's signatures have to say of every image of a build: a policy, read strictly, and judged without a network."""
