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
                float y = 2 * g + 1 < M ? from(own[2 * g + 1 < M ? 2 * g + 1 : 0], quad + 2 * r + (lane & 1)) : 0.0f;
                term[r][g] = low ? x : y;
            }
        }
    }

    // The slope of what an element's column adds to row r; `told`: of what a context's adds.
    __device__ __forceinline__ float of(const Forward& forward, int g, int r, bool told) const {
        if (g < TERMS) return term[r][g];
        if (g < FACTORS) {
            float d = click[r][(g - TERMS) / (FQ > 0 ? FQ : 1)];
            return d * (told ? forward.a(g, r) : forward.t(g, r));
        }
        if (g < PAIRS && !told) return click[r][(g - FACTORS) / (FR > 0 ? FR : 1)] * forward.a(g, r);
        return 0.0f;
    }
};

// Slopes of a block's rows in shared memory: N columns of elements, then NT of contexts.
__device__ __forceinline__ void store(u32 to, const Slopes& slopes, const Forward& forward) {
    constexpr int OWN = N / 8, ALL = (N + NT) / 8;
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    u32 at = to + (lane >> 4) * 1024 + (2 * warp + ((lane >> 3) & 1)) * 128 + (lane & 7) * 16;
#pragma unroll
    for (int n = 0; n < ALL; n += 2) {
        u32 high[2][2], low[2][2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            bool told = n + i >= OWN;
            int g = 2 * (told ? n + i - OWN : n + i);
#pragma unroll
            for (int r = 0; r < 2; r++)
                high[i][r] = halves(slopes.of(forward, g, r, told), slopes.of(forward, g + 1, r, told), low[i][r]);
        }
        if (n + 1 < ALL) {
            store4(at + n * 1024, high[0][0], high[0][1], high[1][0], high[1][1]);
            if (FINE) store4(at + GRAD_PART + n * 1024, low[0][0], low[0][1], low[1][0], low[1][1]);
        } else {
            u32 last = to + n * 1024 + (2 * warp + ((lane >> 3) & 1)) * 128 + (lane & 7) * 16;
            store2(last, high[0][0], high[0][1]);
            if (FINE) store2(last + GRAD_PART, low[0][0], low[0][1]);
        }
    }
}

// The sums over a block's rows of slopes by element and by context.
struct Sums {
    float own[KB][N / 2], told[NT / 2];

    __device__ __forceinline__ void add(u32 shared, int stage, bool more, bool more_told) {
        Matrix hot = cores(shared + HOT_AT + stage * HOT_PART, 128, 1024);
        Matrix context = cores(shared + CONTEXT_AT + stage * CONTEXT_PART, 128, 1024);
        Matrix slopes = cores(shared + GRAD_AT, 128, 1024);
        arrive();
#pragma unroll
        for (int half = 0; half < HALVES; half++) {
#pragma unroll
            for (int k = 0; k < BLOCK / 16; k++) {
                int at = half * GRAD_PART + k * 256;
#pragma unroll
                for (int e = 0; e < KB; e++)
                    product_all<1>(own[e], hot.at(e * 8192 + k * 256), slopes.at(at),
                                   more || half + k > 0);
                product_told<1>(told, context.at(k * 256), slopes.at(at + N / 8 * 1024),
                                more_told || half + k > 0);
            }
        }
        commit();
        finished();
    }
};
