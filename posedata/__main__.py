"""Run the command with ``python -m posedata``."""

from posedata.cli import main

if __name__ == "__main__":
    main()
