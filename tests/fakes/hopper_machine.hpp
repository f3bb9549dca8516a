// The GPU's instructions of model/reward/fused/hopper on a CPU: a block's threads are fibers.

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short u16;

#define __device__
#define __global__
#define __shared__
#define __align__(x)
#define __forceinline__ inline
#define __launch_bounds__(...)

using std::max;
using std::min;

struct uint4 {
    u32 x, y, z, w;
};
struct float4 {
    float x, y, z, w;
};
struct float2 {
    float x, y;
};
struct int4 {
    int x, y, z, w;
};
struct int2 {
    int x, y;
};
struct Place {
    int x, y;
};

alignas(128) char memory[1 << 20];
static Place blockIdx, gridDim, blockDim;
static int running, threads;
static ucontext_t home, fibers[1024];
static std::vector<char> stacks[1024];
static bool done[1024];
static struct {
    int x;
} threadIdx;

static void yield() { swapcontext(&fibers[running], &home); }

struct Barrier {
    int arrived = 0, turn = 0;
};
static Barrier whole, warps[32], groups[8];

static void meet(Barrier& b, int count) {
    int turn = b.turn;
    if (++b.arrived == count) {
        b.arrived = 0;
        b.turn++;
    } else
        while (b.turn == turn) yield();
}
static void __syncthreads() { meet(whole, threads); }
static void meet() { meet(groups[running / 128], 128); }
static void meet_all() { meet(whole, threads); }
static void __syncwarp() { meet(warps[running / 32], 32); }

static float __uint_as_float(u32 x) {
    float y;
    memcpy(&y, &x, 4);
    return y;
}
static float __int_as_float(int x) {
    float y;
    memcpy(&y, &x, 4);
    return y;
}
static int __float_as_int(float x) {
    int y;
    memcpy(&y, &x, 4);
    return y;
}

static float passed[1024];
static float __shfl_sync(u32, float x, int lane) {
    passed[running] = x;
    __syncwarp();
    float y = passed[running / 32 * 32 + lane];
    __syncwarp();
    return y;
}
static int __shfl_sync(u32, int x, int lane) {
    return __float_as_int(__shfl_sync(0, __int_as_float(x), lane));
}
template <class T>
static T from(T x, int lane) {
    return __shfl_sync(0, x, lane);
}
static float beside(float x, int mask) { return __shfl_sync(0, x, running % 32 ^ mask); }

static float exp_of(float x) { return expf(x); }
static float exp2_of(float x) { return exp2f(x); }
static float log2_of(float x) { return log2f(x); }
static float over(float x) { return 1 / x; }

static u32 shared_at(const void* p) { return (char*)p - memory; }
struct Matrix {
    u32 start, lead, stride;
    Matrix at(u32 bytes) const { return {start + bytes, lead, stride}; }
};
static Matrix cores(u32 at, u32 lead, u32 stride) { return {at, lead, stride}; }
static void arrive() {}
static void commit() {}
static void finished() {}
static void seen_by_units() {}
static void copies_end() {}
static void copies_there() {}
template <int count>
static void fewer_registers() {}
template <int count>
static void more_registers() {}
// How many come to a gate, how many have come since it last opened, how often it has opened.
struct Gate {
    short count, come;
    int opened;
};
static Gate& gate_at(u32 gate) { return *(Gate*)(memory + gate); }
static void gate_of(u32 gate, int count) { gate_at(gate) = {(short)count, 0, 0}; }
static void come_to(u32 gate) {
    __syncwarp();
    Gate& g = gate_at(gate);
    if (running % 32 == 0 && ++g.come == g.count) g.come = 0, g.opened++;
}
static void wait_at(u32 gate, u32 parity) {
    while ((gate_at(gate).opened & 1) == (int)parity) yield();
}
static void copy16(u32 to, const void* from, bool there) {
    if (there)
        memcpy(memory + to, from, 16);
    else
        memset(memory + to, 0, 16);
}

static u32 rounded(float x) {
    u32 y;
    memcpy(&y, &x, 4);
    return (y + 0x7fff + ((y >> 16) & 1)) >> 16;
}
static u32 halves(float a, float b) { return rounded(a) | rounded(b) << 16; }
static u32 halves(float a, float b, u32& rest) {
    u32 both = halves(a, b);
    rest = halves(a - __uint_as_float(both << 16), b - __uint_as_float(both & 0xffff0000u));
    return both;
}
static void store_short(u32 to, u16 x) { memcpy(memory + to, &x, 2); }
static u32 load_word(u32 at) {
    u32 found;
    memcpy(&found, memory + at, 4);
    return found;
}
static void store16(u32 to, u32 a, u32 b, u32 c, u32 d) {
    u32 all[4] = {a, b, c, d};
    memcpy(memory + to, all, 16);
}
// Lane l says where row l % 8 of matrix l / 8 goes, and holds two numbers of row l / 4 of each.
static u32 rows_at[1024], held[4][1024];
static void stored(u32 to, int matrices) {
    rows_at[running] = to;
    __syncwarp();
    int base = running / 32 * 32, lane = running % 32;
    for (int i = 0; i < matrices; i++)
        memcpy(memory + rows_at[base + 8 * i + lane / 4] + lane % 4 * 4, &held[i][running], 4);
    __syncwarp();
}
static void store4(u32 to, u32 a, u32 b, u32 c, u32 d) {
    held[0][running] = a, held[1][running] = b, held[2][running] = c, held[3][running] = d;
    stored(to, 4);
}
static void store1(u32 to, u32 a) {
    held[0][running] = a;
    stored(to, 1);
}

static void load4(u32 (&a)[4], u32 at) {
    rows_at[running] = at;
    __syncwarp();
    int base = running / 32 * 32, lane = running % 32;
    for (int i = 0; i < 4; i++)
        memcpy(&a[i], memory + rows_at[base + 8 * i + lane / 4] + lane % 4 * 4, 4);
    __syncwarp();
}

static float number(u32 at) {
    u16 x;
    memcpy(&x, memory + at, 2);
    return __uint_as_float((u32)x << 16);
}
// Element (k, n) of a matrix of cores by its columns.
static float element(Matrix b, int k, int n) {
    return number(b.start + n / 8 * b.stride + k / 8 * b.lead + k % 8 * 16 + n % 8 * 2);
}

// A warpgroup's d (64, 2 COUNT) += a (64, 16) @ b (16, 2 COUNT): a thread holds two numbers of rows
// lane / 4 and that + 8 of a, columns from lane % 4 * 2, and 8 columns on.
static u32 left[1024][4];
template <int COUNT>
static void product_of_cores(float (&d)[COUNT], const u32 (&a)[4], Matrix b) {
    memcpy(left[running], a, 16);
    __syncwarp();
    int base = running / 32 * 32, lane = running % 32;
    for (int i = 0; i < COUNT; i++) {
        for (int k = 0; k < 16; k++) {
            u32 x = left[base + lane / 4 * 4 + k % 8 / 2][(i >> 1 & 1) + k / 8 * 2];
            float y = __uint_as_float(k & 1 ? x & 0xffff0000u : x << 16);
            d[i] += y * element(b, k, i / 4 * 8 + lane % 4 * 2 + (i & 1));
        }
    }
    __syncwarp();
}
template <int COUNT>
static void product_turned(float (&d)[COUNT], Matrix a, Matrix b) {
    meet();
    int warp = running / 32 % 4, lane = running % 32;
    for (int i = 0; i < COUNT; i++) {
        int m = warp * 16 + lane / 4 + (i & 2) * 4;
        for (int k = 0; k < 16; k++)
            d[i] += element(a, k, m) * element(b, k, i / 4 * 8 + lane % 4 * 2 + (i & 1));
    }
    meet();
}

static std::function<void()> body;
static void begun() {
    body();
    done[running] = true;
    yield();
}
template <class... A, size_t... I>
static void unpacked(void (*kernel)(A...), void** given, std::index_sequence<I...>) {
    kernel(*(A*)given[I]...);
}
template <class... A>
static void launched(void (*kernel)(A...), int x, int y, int count, void** given) {
    body = [=] { unpacked(kernel, given, std::index_sequence_for<A...>{}); };
    threads = count;
    gridDim = {x, y};
    blockDim = {count, 1};
    for (int block = 0; block < x * y; block++) {
        blockIdx = {block % x, block / x};
        memset(memory, 0x7f, sizeof memory);
        whole = Barrier();
        for (auto& warp : warps) warp = Barrier();
        for (auto& group : groups) group = Barrier();
        for (int i = 0; i < count; i++) {
            stacks[i].resize(1 << 16);
            getcontext(&fibers[i]);
            fibers[i].uc_stack.ss_sp = stacks[i].data();
            fibers[i].uc_stack.ss_size = stacks[i].size();
            fibers[i].uc_link = &home;
            makecontext(&fibers[i], begun, 0);
            done[i] = false;
        }
        for (bool left = true; left;) {
            left = false;
            for (running = 0; running < count; running++) {
                if (done[running]) continue;
                threadIdx.x = running;
                swapcontext(&home, &fibers[running]);
                left = left || !done[running];
            }
        }
    }
}
