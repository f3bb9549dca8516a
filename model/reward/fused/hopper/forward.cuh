// What elements and contexts add to a block's rows.
struct Forward {
    float added[N / 2], told[NT / 2];

    // rows: the thread's part of the stage's matrix.
    __device__ __forceinline__ void find(u32 elements, u32 contexts, u32 rows) {
        Matrix window = cores(elements, 128, KW * 16);
        Matrix weights = cores(contexts, 128, KC * 16);
        u32 hot[KW / 16][4], context[KC / 16 + 1][4];
#pragma unroll
        for (int k = 0; k < KC / 16; k++) load4(context[k], rows + (ELEMENTS / 8 + 2 * k) * 1024);
#pragma unroll
        for (int k = 0; k < KW / 16; k++) load4(hot[k], rows + k * 2048);
        arrive();
#pragma unroll
        for (int half = 0; half < 2; half++) {
#pragma unroll
            for (int k = 0; k < KC / 16; k++) {
                Matrix part = weights.at(half * TOLD_PART + k * 256);
                if (half + k > 0)
                    product_told(told, context[k], part);
                else
                    product_told_first(told, context[k], part);
            }
#pragma unroll
            for (int k = 0; k < KW / 16; k++) {
                Matrix part = window.at(half * WINDOW_PART + k * 256);
                if (half + k > 0)
                    product_own(added, hot[k], part);
                else
                    product_own_first(added, hot[k], part);
            }
        }
        commit();
        finished();
    }

    // Where a thread reads cores of its warp's 16 rows.
    static __device__ __forceinline__ u32 rows_of(u32 stages) {
        int lane = threadIdx.x & 31, warp = threadIdx.x >> 5 & 3;
        return stages + (lane >> 4) * 1024 + (2 * warp + ((lane >> 3) & 1)) * 128 + (lane & 7) * 16;
    }

    __device__ __forceinline__ float a(int g, int r) const {
        return added[(g >> 1) * 4 + r * 2 + (g & 1)];
    }
    __device__ __forceinline__ float t(int g, int r) const {
        return told[(g >> 1) * 4 + r * 2 + (g & 1)];
    }

    // A row's sum over a member's pairs and factors, of the row that is the thread's, by half its
    // quad.
    __device__ __forceinline__ float part(int m, bool low) const {
        float x = 0, y = 0, u = 0, v = 0;
#pragma unroll
        for (int f = 0; f < FR; f++) {
            int g = FACTORS + m * FR + f;
            x += a(g, 0) * a(g, 0);
            y += a(g, 1) * a(g, 1);
        }
#pragma unroll
        for (int f = 0; f < FQ; f++) {
            int g = TERMS + m * FQ + f;
            u += a(g, 0) * t(g, 0);
            v += a(g, 1) * t(g, 1);
        }
        x = 0.5f * x + u;
        y = 0.5f * y + v;
        return (low ? x : y) + beside(low ? y : x, 2);
    }

    // Terms 2 g and 2 g + 1 of the thread's row.
    __device__ __forceinline__ void terms(int g, bool low, float& one, float& other) const {
        float x = a(g, 0) + t(g, 0), y = a(g, 1) + t(g, 1);
        float keep = low ? x : y, got = beside(low ? y : x, 2);
        one = low ? keep : got;
        other = low ? got : keep;
    }

    // The log-odds of row (lane & 2) / 2 * 8 of the quad's two: of a click in even lanes, of a
    // conversion in odd ones.
    __device__ __forceinline__ void odds(float (&found)[M]) const {
        bool low = !(threadIdx.x & 2), click = !(threadIdx.x & 1);
        float part_of[M], other;
#pragma unroll
        for (int g = 0; g < TERMS; g++)
            terms(g, low, found[2 * g], 2 * g + 1 < M ? found[2 * g + 1] : other);
#pragma unroll
        for (int m = 0; m < M; m++) part_of[m] = part(m, low);
#pragma unroll
        for (int m = 0; m < M; m++) {
            float sum = part_of[m] + beside(part_of[m], 1);
            if (click) found[m] += sum;
        }
    }
};
