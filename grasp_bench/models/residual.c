/* Runs F(z, a) = z + MLP(z, a) and its derivatives, for `ResidualPredictor`.

   A matrix [out, in] comes in panels of COLUMNS outputs: panel p holds, for each input, the
   weights of outputs p * COLUMNS and following, zeros beyond the last. Rows go through the
   whole network in groups, so that their activations stay in the cache. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif
#define COLUMNS (2 * LANES)
#define TILE 6   /* rows whose sums are held in registers */
#define GROUP 96 /* rows */

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
#define INLINE static inline __attribute__((always_inline))

typedef struct {
    int64_t latent, action, width, blocks;
    float epsilon;
    const float *enter, *enter_back; /* panels, and those of the transpose */
    const float *norms;              /* blocks + 1 times weight and bias [2, width] */
    const float *mixing;             /* blocks times widen, narrow and their transposes */
    const float *biases;             /* enter [width], blocks times [2, width], leave, padded */
    const float *leave, *leave_back;
} Network;

int columns(void) { return COLUMNS; }

INLINE int64_t padded(int64_t n) { return (n + COLUMNS - 1) / COLUMNS * COLUMNS; }

/* Adds x [rows, in] times one panel to its bias; `unroll` sums run side by side. */
INLINE void panel_product(const float *panel, const float *bias, const float *x, int64_t x_stride,
                          int64_t in, float *y, int64_t y_stride, const int rows,
                          const int unroll, const int add) {
    vec sum[TILE * 4][2];
    for (int r = 0; r < rows * unroll; r++)
        for (int c = 0; c < 2; c++)
            sum[r][c] = bias && r < rows ? *(const vec *)(bias + c * LANES) : (vec){0};
    int64_t i = 0;
    for (; i + unroll <= in; i += unroll)
        for (int u = 0; u < unroll; u++) {
            const vec *w = (const vec *)(panel + (i + u) * COLUMNS);
            for (int r = 0; r < rows; r++) {
                const float value = x[r * x_stride + i + u];
                sum[u * rows + r][0] += value * w[0];
                sum[u * rows + r][1] += value * w[1];
            }
        }
    for (; i < in; i++) {
        const vec *w = (const vec *)(panel + i * COLUMNS);
        for (int r = 0; r < rows; r++) {
            sum[r][0] += x[r * x_stride + i] * w[0];
            sum[r][1] += x[r * x_stride + i] * w[1];
        }
    }
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < 2; c++) {
            vec total = sum[r][c];
            for (int u = 1; u < unroll; u++) total += sum[u * rows + r][c];
            vec *target = (vec *)(y + r * y_stride + c * LANES);
            if (add) total += *target;
            *target = total;
        }
}

/* y [rows, out] = (y +) x [rows, in] times a matrix in panels + bias; y is padded. */
INLINE void product(const float *panels, const float *bias, const float *x, int64_t x_stride,
                    int64_t in, float *y, int64_t y_stride, int64_t out, int64_t rows,
                    const int add) {
    for (int64_t o = 0; o < out; o += COLUMNS) {
        const float *panel = panels + o * in, *b = bias ? bias + o : NULL;
        int64_t r = 0;
        for (; r + TILE <= rows; r += TILE)
            panel_product(panel, b, x + r * x_stride, x_stride, in, y + r * y_stride + o,
                          y_stride, TILE, 1, add);
        const float *xr = x + r * x_stride;
        float *yr = y + r * y_stride + o;
        switch (rows - r) {
        case 1: panel_product(panel, b, xr, x_stride, in, yr, y_stride, 1, 4, add); break;
        case 2: panel_product(panel, b, xr, x_stride, in, yr, y_stride, 2, 2, add); break;
        case 3: panel_product(panel, b, xr, x_stride, in, yr, y_stride, 3, 2, add); break;
        case 4: panel_product(panel, b, xr, x_stride, in, yr, y_stride, 4, 1, add); break;
        case 5: panel_product(panel, b, xr, x_stride, in, yr, y_stride, 5, 1, add); break;
        }
    }
}

/* The lesser of two, entry by entry. */
INLINE vec least(vec a, vec b) {
    const ivec first = a < b;
    return (vec)(((ivec)a & first) | ((ivec)b & ~first));
}

/* exp(-x) by Cephes' polynomial after splitting off a power of two. */
INLINE vec exp_of_minus(vec x) {
    const vec zero = {0};
    const vec t = least(-least(x, zero + 87.0f), zero + 87.0f);
    const vec magic = zero + 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
    const vec n = (t * 1.44269504088896341f + magic) - magic;
    const vec f = t - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = zero + 1.9875691500e-4f;
    p = p * f + 1.3981999507e-3f;
    p = p * f + 8.3334519073e-3f;
    p = p * f + 4.1665795894e-2f;
    p = p * f + 1.6666665459e-1f;
    p = p * f + 5.0000001201e-1f;
    p = p * f * f + f + 1.0f;
    const ivec bits = (__builtin_convertvector(n, ivec) + 127) << 23;
    return p * (vec)bits;
}

INLINE vec sigmoid(vec x) { return 1.0f / (1.0f + exp_of_minus(x)); }

static void silu(const float *x, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) {
        const vec v = *(const vec *)(x + i);
        *(vec *)(y + i) = v * sigmoid(v);
    }
}

/* Multiplies g by the derivative of SiLU at x. */
static void silu_back(float *g, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) {
        const vec v = *(const vec *)(x + i), s = sigmoid(v);
        *(vec *)(g + i) *= s * (1.0f + v * (1.0f - s));
    }
}

INLINE float total(vec v) {
    float sum = 0;
    for (int l = 0; l < LANES; l++) sum += v[l];
    return sum;
}

static float root(float x) { return __builtin_sqrtf(x); }

/* Normalises one row; keeps its mean and inverse deviation in `kept`. */
static void norm(const float *x, float *y, float *kept, const float *affine, int64_t n,
                 float epsilon) {
    vec sum = {0}, square = {0};
    for (int64_t i = 0; i < n; i += LANES) sum += *(const vec *)(x + i);
    const float mean = total(sum) / n;
    for (int64_t i = 0; i < n; i += LANES) {
        const vec centred = *(const vec *)(x + i) - mean;
        square += centred * centred;
    }
    const float inverse = 1.0f / root(total(square) / n + epsilon);
    for (int64_t i = 0; i < n; i += LANES)
        *(vec *)(y + i) = (*(const vec *)(x + i) - mean) * inverse * *(const vec *)(affine + i) +
                          *(const vec *)(affine + n + i);
    kept[0] = mean;
    kept[1] = inverse;
}

/* Turns a gradient by the norm of one row into one by the row, added to `by_x`. */
static void norm_back(const float *g, const float *x, const float *kept, const float *affine,
                      float *by_x, int64_t n, const int add) {
    const float mean = kept[0], inverse = kept[1];
    vec sum = {0}, along = {0};
    for (int64_t i = 0; i < n; i += LANES) {
        const vec scaled = *(const vec *)(g + i) * *(const vec *)(affine + i);
        sum += scaled;
        along += scaled * (*(const vec *)(x + i) - mean);
    }
    const float a = total(sum) / n, b = total(along) * inverse * inverse / n;
    for (int64_t i = 0; i < n; i += LANES) {
        const vec scaled = *(const vec *)(g + i) * *(const vec *)(affine + i);
        vec change = (scaled - a - (*(const vec *)(x + i) - mean) * b) * inverse;
        vec *target = (vec *)(by_x + i);
        if (add) change += *target;
        *target = change;
    }
}

/* Floats a row keeps for `backward`: the input of each norm, its two numbers, each middle. */
int64_t tape_size(const Network *net) { return (net->blocks + 1) * (2 * net->width + 2); }

/* Floats of working memory that `forward` and `backward` need for so many rows. */
int64_t scratch_size(const Network *net, int64_t rows) {
    return 3 * (rows < GROUP ? rows : GROUP) * net->width;
}

/* next [rows, latent] = F; tape [rows, tape_size] or NULL; scratch [scratch_size]. */
void forward(const Network *net, int64_t rows, const float *state, const float *action,
             float *next, float *tape, float *scratch) {
    const int64_t D = net->latent, A = net->action, W = net->width, out = padded(D);
    const int64_t size = tape_size(net), matrix = W * W, group = rows < GROUP ? rows : GROUP;
    for (int64_t first = 0; first < rows; first += GROUP) {
        const int64_t n = rows - first < GROUP ? rows - first : GROUP;
        float *hidden = scratch, *normed = scratch + group * W, *middle = normed + group * W;
        float *row_tape = tape ? tape + first * size : NULL;
        float kept[2];
        for (int64_t r = 0; r < n; r++) {
            memcpy(normed + r * W, state + (first + r) * D, D * sizeof(float));
            memcpy(normed + r * W + D, action + (first + r) * A, A * sizeof(float));
        }
        product(net->enter, net->biases, normed, W, D + A, hidden, W, W, n, 0);
        for (int64_t k = 0; k <= net->blocks; k++) {
            const int last = k == net->blocks;
            for (int64_t r = 0; r < n; r++) {
                float *t = row_tape ? row_tape + r * size + k * (2 * W + 2) : NULL;
                if (t) memcpy(t, hidden + r * W, W * sizeof(float));
                norm(hidden + r * W, normed + r * W, t ? t + W : kept, net->norms + 2 * k * W, W,
                     net->epsilon);
            }
            float *before = last ? normed : middle;
            const float *weights = net->mixing + 4 * k * matrix;
            const float *bias = net->biases + W + 2 * k * W;
            if (!last) product(weights, bias, normed, W, W, middle, W, W, n, 0);
            for (int64_t r = 0; r < n; r++) {
                if (row_tape)
                    memcpy(row_tape + r * size + k * (2 * W + 2) + W + 2, before + r * W,
                           W * sizeof(float));
                silu(before + r * W, before + r * W, W);
            }
            if (!last)
                product(weights + matrix, bias + W, middle, W, W, hidden, W, W, n, 1);
            else {
                product(net->leave, bias, normed, W, W, middle, out, D, n, 0);
                for (int64_t r = 0; r < n; r++)
                    for (int64_t d = 0; d < D; d++)
                        next[(first + r) * D + d] =
                            state[(first + r) * D + d] + middle[r * out + d];
            }
        }
    }
}

/* Gradients by state [rows, latent] (NULL: not wanted) and by action [rows, action]. */
void backward(const Network *net, int64_t rows, const float *by_next, const float *tape,
              float *by_state, float *by_action, float *scratch) {
    const int64_t D = net->latent, A = net->action, W = net->width, in = padded(D + A);
    const int64_t size = tape_size(net), matrix = W * W, group = rows < GROUP ? rows : GROUP;
    for (int64_t first = 0; first < rows; first += GROUP) {
        const int64_t n = rows - first < GROUP ? rows - first : GROUP;
        float *by_hidden = scratch, *by_normed = scratch + group * W;
        float *by_middle = by_normed + group * W;
        const float *row_tape = tape + first * size;
        for (int64_t k = net->blocks; k >= 0; k--) {
            const int last = k == net->blocks;
            const float *weights = net->mixing + 4 * k * matrix;
            float *by_before = last ? by_normed : by_middle;
            if (last)
                product(net->leave_back, NULL, by_next + first * D, D, D, by_normed, W, W, n, 0);
            else
                product(weights + 3 * matrix, NULL, by_hidden, W, W, by_middle, W, W, n, 0);
            for (int64_t r = 0; r < n; r++)
                silu_back(by_before + r * W, row_tape + r * size + k * (2 * W + 2) + W + 2, W);
            if (!last) product(weights + 2 * matrix, NULL, by_middle, W, W, by_normed, W, W, n, 0);
            for (int64_t r = 0; r < n; r++) {
                const float *t = row_tape + r * size + k * (2 * W + 2);
                norm_back(by_normed + r * W, t, t + W, net->norms + 2 * k * W, by_hidden + r * W,
                          W, !last);
            }
        }
        product(net->enter_back, NULL, by_hidden, W, W, by_middle, in, D + A, n, 0);
        for (int64_t r = 0; r < n; r++) {
            const float *both = by_middle + r * in;
            if (by_state)
                for (int64_t d = 0; d < D; d++)
                    by_state[(first + r) * D + d] = by_next[(first + r) * D + d] + both[d];
            memcpy(by_action + (first + r) * A, both + D, A * sizeof(float));
        }
    }
}
