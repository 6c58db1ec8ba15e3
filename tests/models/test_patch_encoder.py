import pytest
import torch

from grasp_bench.models.layers import as_input
from grasp_bench.models.patch_encoder import PatchDecoder, PatchEncoder


@pytest.mark.parametrize("cell", [8, 16, 32])
def test_a_token_describes_a_cell_and_a_decoder_draws_the_picture_again(cell):
    picture = as_input(torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8))
    tokens = PatchEncoder(3, 8, 1, cell=cell)(picture)
    assert tokens.shape == (2, 3, 64 // cell, 64 // cell)
    assert PatchDecoder(3, 8, cell=cell)(tokens).shape == picture.shape


@pytest.mark.parametrize("cell", [0, 4, 12, 17])
def test_cells_of_other_sizes_are_refused(cell):
    with pytest.raises(ValueError, match="cells"):
        PatchEncoder(3, 8, 1, cell=cell)


@pytest.mark.parametrize("cell", [8, 16])
def test_blanked_cells_cannot_be_seen(cell):
    torch.manual_seed(0)
    encoder = PatchEncoder(3, 8, 1, cell=cell)
    picture = as_input(torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8))
    blanked = torch.zeros(1, 1, 64 // cell, 64 // cell)
    blanked[..., 2, 3] = 1
    changed = picture.clone()
    changed[..., 2 * cell : 3 * cell, 3 * cell : 4 * cell] += 1
    torch.testing.assert_close(encoder(picture, blanked), encoder(changed, blanked))
    assert not torch.allclose(encoder(picture), encoder(changed))
