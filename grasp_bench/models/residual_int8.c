/* Runs F(z, a) of `residual.c` with the products inside its blocks in integers of 8 bits.

   A row x is rounded to q = x * 127 / max|x|, a matrix output by output before. The products
   are those of VNNI, whose first factor has no sign: rows come as q + 128, and 128 times the
   sum of an output's weights is taken off again. Sums of integers are exact. */

#include "residual.c"

#ifdef __AVX512VNNI__
#include <immintrin.h>

typedef struct {
    const int8_t *mixing;   /* blocks times widen and narrow, panels [in / 4, COLUMNS, 4] */
    const float *units;     /* blocks times [2, width]: what one unit of a weight is worth */
    const int32_t *offsets; /* the same: 128 times the sum of an output's weights */
} Rounded;

/* Normalises a row; returns the largest magnitude of the result. */
static float quick_norm(const float *x, float *y, const float *affine, int64_t n, float epsilon) {
    __m512 sum = _mm512_setzero_ps(), square = sum, largest = sum;
    for (int64_t i = 0; i < n; i += LANES) sum = _mm512_add_ps(sum, _mm512_loadu_ps(x + i));
    const vec mean = (vec){0} + _mm512_reduce_add_ps(sum) / n;
    for (int64_t i = 0; i < n; i += LANES) {
        const vec centred = *(const vec *)(x + i) - mean;
        square = _mm512_fmadd_ps((__m512)centred, (__m512)centred, square);
    }
    const float inverse = 1.0f / root(_mm512_reduce_add_ps(square) / n + epsilon);
    for (int64_t i = 0; i < n; i += LANES) {
        const vec scaled = (*(const vec *)(x + i) - mean) * inverse * *(const vec *)(affine + i) +
                           *(const vec *)(affine + n + i);
        largest = _mm512_max_ps(largest, _mm512_abs_ps((__m512)scaled));
        *(vec *)(y + i) = scaled;
    }
    return _mm512_reduce_max_ps(largest);
}

/* Replaces a row by its SiLU, with a reciprocal of 14 bits and a step of Newton's in place of the
   division; returns the largest magnitude. */
static float quick_silu(float *x, int64_t n) {
    __m512 largest = _mm512_setzero_ps();
    for (int64_t i = 0; i < n; i += LANES) {
        vec *target = (vec *)(x + i);
        const vec v = *target, divisor = 1.0f + exp_of_minus(v);
        const vec inverse = (vec)_mm512_rcp14_ps((__m512)divisor);
        *target = v * inverse * (2.0f - divisor * inverse);
        largest = _mm512_max_ps(largest, _mm512_abs_ps((__m512)*target));
    }
    return _mm512_reduce_max_ps(largest);
}

/* Rounds a row to bytes q + 128; returns what one unit is worth. */
static float round_row(const float *x, float largest, uint8_t *q, int64_t n) {
    const __m512 factor = _mm512_set1_ps(largest > 0 ? 127.0f / largest : 0.0f);
    const __m512i middle = _mm512_set1_epi32(128);
    for (int64_t i = 0; i < n; i += LANES) {
        const __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), factor));
        _mm_storeu_si128((__m128i *)(q + i),
                         _mm512_cvtepi32_epi8(_mm512_add_epi32(whole, middle)));
    }
    return largest / 127.0f;
}

/* Adds products of bytes, four by four. GCC copies the sums when told so by its intrinsic. */
INLINE void add_products(__m512i *sum, __m512i unsigned_bytes, __m512i signed_bytes) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*sum) : "v"(unsigned_bytes), "v"(signed_bytes));
}

/* Multiplies `rows` rows of bytes [n] by one panel. */
INLINE void rounded_panel(const int8_t *panel, const float *worths, const int32_t *offsets,
                          const float *bias, const uint8_t *q, const float *units, int64_t n,
                          float *y, const int rows, const int add) {
    __m512i sum[TILE][2];
    for (int c = 0; c < 2; c++) {
        const __m512i offset = _mm512_loadu_si512(offsets + c * LANES);
        for (int r = 0; r < rows; r++) sum[r][c] = _mm512_sub_epi32(_mm512_setzero_si512(), offset);
    }
    for (int64_t i = 0; i < n; i += 4) {
        const __m512i first = _mm512_loadu_si512(panel + i * COLUMNS);
        const __m512i second = _mm512_loadu_si512(panel + i * COLUMNS + 4 * LANES);
        for (int r = 0; r < rows; r++) {
            int32_t four;
            memcpy(&four, q + r * n + i, 4);
            const __m512i x = _mm512_set1_epi32(four);
            add_products(&sum[r][0], x, first);
            add_products(&sum[r][1], x, second);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < 2; c++) {
            const vec unit = *(const vec *)(worths + c * LANES) * units[r];
            vec *target = (vec *)(y + r * n + c * LANES);
            vec total = (vec)_mm512_cvtepi32_ps(sum[r][c]) * unit +
                        *(const vec *)(bias + c * LANES);
            if (add) total += *target;
            *target = total;
        }
}

/* y [rows, n] = (y +) bytes [rows, n] times matrix k of the blocks + bias. */
INLINE void rounded_product(const Rounded *rounded, int64_t k, const float *bias, const uint8_t *q,
                            const float *units, int64_t n, float *y, int64_t rows, const int add) {
    for (int64_t o = 0; o < n; o += COLUMNS) {
        const int8_t *panel = rounded->mixing + k * n * n + o * n;
        const float *worths = rounded->units + k * n + o;
        const int32_t *offsets = rounded->offsets + k * n + o;
        int64_t r = 0;
        for (; r + TILE <= rows; r += TILE)
            rounded_panel(panel, worths, offsets, bias + o, q + r * n, units + r, n, y + r * n + o,
                          TILE, add);
        for (; r < rows; r++)
            rounded_panel(panel, worths, offsets, bias + o, q + r * n, units + r, n, y + r * n + o,
                          1, add);
    }
}

/* Floats of working memory that `rounded_forward` needs for so many rows. */
int64_t rounded_scratch_size(const Network *net, int64_t rows) {
    const int64_t group = rows < GROUP ? rows : GROUP;
    return scratch_size(net, rows) + group * (net->width / 4 + 1);
}

/* next [rows, latent] = F; scratch [rounded_scratch_size]. */
void rounded_forward(const Network *net, const Rounded *rounded, int64_t rows, const float *state,
                     const float *action, float *next, float *scratch) {
    const int64_t D = net->latent, A = net->action, W = net->width, out = padded(D);
    const int64_t group = rows < GROUP ? rows : GROUP;
    float *hidden = scratch, *normed = hidden + group * W, *middle = normed + group * W;
    float *units = middle + group * W;
    uint8_t *bytes = (uint8_t *)(units + group);
    for (int64_t first = 0; first < rows; first += GROUP) {
        const int64_t n = rows - first < GROUP ? rows - first : GROUP;
        for (int64_t r = 0; r < n; r++) {
            memcpy(normed + r * W, state + (first + r) * D, D * sizeof(float));
            memcpy(normed + r * W + D, action + (first + r) * A, A * sizeof(float));
        }
        product(net->enter, net->biases, normed, W, D + A, hidden, W, W, n, 0);
        for (int64_t k = 0; k <= net->blocks; k++) {
            const float *affine = net->norms + 2 * k * W, *bias = net->biases + W + 2 * k * W;
            const int last = k == net->blocks;
            for (int64_t r = 0; r < n; r++) {
                const float largest =
                    quick_norm(hidden + r * W, normed + r * W, affine, W, net->epsilon);
                if (!last) units[r] = round_row(normed + r * W, largest, bytes + r * W, W);
            }
            if (last) break;
            rounded_product(rounded, 2 * k, bias, bytes, units, W, middle, n, 0);
            for (int64_t r = 0; r < n; r++) {
                const float largest = quick_silu(middle + r * W, W);
                units[r] = round_row(middle + r * W, largest, bytes + r * W, W);
            }
            rounded_product(rounded, 2 * k + 1, bias + W, bytes, units, W, hidden, n, 1);
        }
        for (int64_t r = 0; r < n; r++) quick_silu(normed + r * W, W);
        product(net->leave, net->biases + W + 2 * net->blocks * W, normed, W, W, middle, out, D, n,
                0);
        for (int64_t r = 0; r < n; r++)
            for (int64_t d = 0; d < D; d++)
                next[(first + r) * D + d] = state[(first + r) * D + d] + middle[r * out + d];
    }
}
#endif
