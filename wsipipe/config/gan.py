"""Stage parameters of the networks and their training."""

from dataclasses import dataclass

from wsipipe.config.fields import choice, number


@dataclass(frozen=True)
class GanConfig:
    """Networks and training: WGAN-GP with an InfoGAN head (Hu et al., JBHI 2019)."""

    classes: int = number(5, 2, 64)
    """Number of cell classes k."""
    noise_dim: int = number(32, 1, 1024)
    """Length of z ~ N(0, I)."""
    channels: int = number(128, 4, 512)
    """Channels of every block."""
    batch: int = number(10, 2, 4096)
    """Cells a step."""
    steps: int = number(10_000, 1, 10_000_000)
    """Generator steps."""
    critic_steps: int = number(5, 1, 100)
    """Critic steps per generator step."""
    learning_rate: float = number(1e-4, 1e-7, 1.0)
    """Adam's, for D and G."""
    info_learning_rate: float = number(1e-4, 1e-7, 1.0)
    """Adam's, for Q's step (over G, trunk and Q head)."""
    anneal: bool = False
    """Learning rates fall linearly to zero over the training."""
    beta1: float = number(0.5, 0.0, 0.999)
    """Adam's."""
    beta2: float = number(0.9, 0.0, 0.9999)
    """Adam's."""
    lambda_gradient: float = number(10.0, 0.0, 1000.0)
    """Weight of the gradient penalty."""
    lambda_info: float = number(1.0, 0.0, 1000.0)
    """Weight of the mutual-information bound."""
    lambda_real: float = number(0.0, 0.0, 1000.0)
    """Weight of the mutual information between Q's answers to two views of one real cell; 0 is the paper."""
    spread: float = number(1.0, 1.0, 10.0)
    """In that term, weight of the entropies that spread the classes: 1 is mutual information, more empties fewer."""
    real_batch: int = number(64, 2, 65_536)
    """Real cells in each step of that term, which needs more of them than the others to see how classes spread."""
    info_steps: int = number(1, 1, 100)
    """Steps of Q per generator step; all but the first see real cells only."""
    standardize: bool = False
    """Scale initial weights on real cells, and train Q on standardized features (folded away at the end)."""
    augment: str = choice("flips", "dihedral")
    """Random transforms of real cells: the paper's flips, or flips and quarter turns with stain jitter."""
    pooling: str = choice("mean", "centre")
    """Features of the trunk's map: its mean (the paper), or that and its mean around the centre, where the cell is."""
    lambda_measure: float = number(0.0, 0.0, 1000.0)
    """Weight of the trunk's error in telling a real cell's description; 0 is the paper."""
    lambda_teach: float = number(0.0, 0.0, 1000.0)
    """Weight of Q's error in telling from patches the classes that a mixture on descriptions gives; 0 is the paper."""
    coherence: float = number(0.0, 0.0, 10.0)
    """In that mixture, power of a cell's neighbours in its prior; 0 looks at each cell alone."""
    describe: bool = False
    """Q also weighs a description of the cell: measurements, contrast, neighbours. False is the paper, patches only."""
    learned_prior: bool = False
    """G draws classes as often as Q finds them in real cells; false draws all alike, as the paper does."""
    average: float = number(0.0, 0.0, 0.99999)
    """Decay per step of the running average of the weights, which the finished model holds; 0 holds the last ones."""
    checks: int = number(0, 0, 1000)
    """The finished model is the best of this many moments, by the share of cells kept aside on whose class patch and
    description agree, no label seen; 0 keeps the last."""
    class_scale: float = number(1.0, 0.01, 100.0)
    """Factor on the initial weights of G's class inputs; they are k numbers beside `noise_dim` of noise."""
    start: str = choice("random", "default")
    """Weights that G starts from: random ones, or those of the model that ships with the package."""
    restarts: int = number(1, 1, 100)
    """Trainings from this many seeds; the one whose classes part the descriptions best is kept, no label seen."""
    max_cells: int = number(50_000, 10, 100_000_000)
    """Cells drawn for training, evenly from all slides."""
