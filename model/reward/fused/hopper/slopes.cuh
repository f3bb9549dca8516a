// What a quad of threads knows of the slopes of its two rows' log-odds.
struct Slopes {
    float click[2][M], term[2][(M + 1) / 2];

    // own: slopes of the thread's row and head.
    __device__ __forceinline__ Slopes(const float (&own)[M]) {
        int lane = threadIdx.x & 31, quad = lane & ~3;
        bool low = !(lane & 2);
#pragma unroll
        for (int r = 0; r < 2; r++) {
#pragma unroll
            for (int m = 0; m < M; m++) click[r][m] = from(own[m], quad + 2 * r);
#pragma unroll
            for (int g = 0; g < TERMS; g++) {
                float x = from(own[2 * g], quad + 2 * r + (lane & 1));
                float y = 2 * g + 1 < M
                              ? from(own[2 * g + 1 < M ? 2 * g + 1 : 0], quad + 2 * r + (lane & 1))
                              : 0.0f;
                term[r][g] = low ? x : y;
            }
        }
    }

    // The slope of row r in a column group.
    __device__ __forceinline__ float of(const Forward& forward, int g, int r) const {
        constexpr int of_factor = FQ > 0 ? FQ : 1, of_pair = FR > 0 ? FR : 1;
        if (g < TERMS) return term[r][g];
        if (g < FACTORS) return click[r][(g - TERMS) / of_factor] * forward.t(g, r);
        if (g < PAIRS) return click[r][(g - FACTORS) / of_pair] * forward.a(g, r);
        if (g < TOLD) return click[r][(g - PAIRS) / of_factor] * forward.a(g - PAIRS + TERMS, r);
        return 0.0f;
    }
};

// Slopes of a block's rows in shared memory.
__device__ __forceinline__ void store(u32 to, const Slopes& slopes, const Forward& forward) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    u32 row = to + (2 * warp + ((lane >> 3) & 1)) * 128 + (lane & 7) * 16,
        at = row + (lane >> 4) * 1024;
#pragma unroll
    for (int n = 0; n < NS / 8; n += 2) {
        u32 high[2][2], low[2][2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            int g = 2 * (n + i);
#pragma unroll
            for (int r = 0; r < 2; r++)
                high[i][r] =
                    halves(slopes.of(forward, g, r), slopes.of(forward, g + 1, r), low[i][r]);
        }
        if (n + 1 < NS / 8) {
            store4(at + n * 1024, high[0][0], high[0][1], high[1][0], high[1][1]);
            if (FINE)
                store4(at + SLOPES_PART + n * 1024, low[0][0], low[0][1], low[1][0], low[1][1]);
        } else {
            store2(row + n * 1024, high[0][0], high[0][1]);
            if (FINE) store2(row + SLOPES_PART + n * 1024, low[0][0], low[0][1]);
        }
    }
}

// The sums over a block's rows of slopes, by what rows show: elements, then contexts.
struct Sums {
    float sum[TILES][NS / 2];

    // Begins to add; matrix: of the stage.
    __device__ __forceinline__ void add(u32 matrix, u32 slopes_at) {
        Matrix seen = cores(matrix, 128, 1024), slopes = cores(slopes_at, 128, 1024);
        arrive();
#pragma unroll
        for (int half = 0; half < HALVES; half++) {
#pragma unroll
            for (int k = 0; k < BLOCK / 16; k++) {
#pragma unroll
                for (int tile = 0; tile < TILES; tile++)
                    product_slopes_turned(sum[tile], seen.at(tile * 8192 + k * 256),
                                          slopes.at(half * SLOPES_PART + k * 256));
            }
        }
        commit();
    }

    // What the i-th number of a tile is summed over: elements from 0, then contexts from ELEMENTS.
    static __device__ __forceinline__ int row_of(int tile, int i) {
        int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
        return tile * 64 + warp * 16 + (i & 2) * 4 + (lane >> 2);
    }
    static __device__ __forceinline__ int column_at(int i) {
        return (i >> 2) * 8 + (threadIdx.x & 3) * 2 + (i & 1);
    }

    // Writes the elements' sums and begins them anew.
    __device__ __forceinline__ void flush(float* to, int held, const int* column) {
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
#pragma unroll
            for (int i = 0; i < NS / 2; i++) {
                int k = row_of(tile, i), j = column[column_at(i)];
                if (k < held && j >= 0) to[k * WIDE + j] = sum[tile][i];
                if (k < ELEMENTS) sum[tile][i] = 0;
            }
        }
    }

    // Writes the contexts' sums.
    __device__ __forceinline__ void flush_told(float* to, const int* column) const {
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
#pragma unroll
            for (int i = 0; i < NS / 2; i++) {
                int c = row_of(tile, i) - ELEMENTS, j = column[NS + column_at(i)];
                if (c >= 0 && c < PARTS * CONTEXT && j >= 0) to[c * WIDE + j] = sum[tile][i];
            }
        }
    }
};
