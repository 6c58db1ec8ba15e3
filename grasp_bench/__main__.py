"""`python -m grasp_bench` is the command `grasp-bench`."""

from grasp_bench.cli.app import main

if __name__ == "__main__":
    main()
