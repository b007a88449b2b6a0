"""What a plan will take: work, disk, hours; before anything of it is run."""
