"""Planners: one algorithm a file, its hyperparameters the fields of a frozen dataclass.

Other packages add planners through the entry-point group `grasp_bench.planners`: a name
that points to a frozen dataclass of the `grasp_bench.core.types.Planner` protocol.
"""

from grasp_bench.planners.baselines import Demo, Random, ShuffledDemo, Zero
from grasp_bench.planners.cem import CEM
from grasp_bench.planners.configure import (
    PLANNERS,
    PlannerSpec,
    hyperparameters,
    make_planner,
    planner_spec,
    spec_of,
)
from grasp_bench.planners.gd import GD
from grasp_bench.planners.gd_adam import GDAdam
from grasp_bench.planners.grad_cem import GradCEM
from grasp_bench.planners.grasp import GRASP
from grasp_bench.planners.grasp_plus import GraspPlus
from grasp_bench.planners.icem import ICEM
from grasp_bench.planners.latco import LatCo
from grasp_bench.planners.latco_gn import LatCoGN
from grasp_bench.planners.lbfgs import LBFGS
from grasp_bench.planners.leap import LEAP
from grasp_bench.planners.mppi import MPPI
from grasp_bench.planners.predictive_sampling import PredictiveSampling
from grasp_bench.planners.prior_mean import PriorMean
from grasp_bench.planners.prior_rerank import PriorRerank
from grasp_bench.planners.prism import PRISM
from grasp_bench.planners.sift import Sift

__all__ = [
    "CEM",
    "GD",
    "GRASP",
    "ICEM",
    "LBFGS",
    "LEAP",
    "MPPI",
    "PLANNERS",
    "PRISM",
    "Demo",
    "GDAdam",
    "GradCEM",
    "GraspPlus",
    "LatCo",
    "LatCoGN",
    "PlannerSpec",
    "PredictiveSampling",
    "PriorMean",
    "PriorRerank",
    "Random",
    "ShuffledDemo",
    "Sift",
    "Zero",
    "hyperparameters",
    "make_planner",
    "planner_spec",
    "spec_of",
]
