/* What a loop can do: the kernels again in C, one thread, no checks, no error, memory never given back on a failure.
 *
 * Yardsticks for `bare.py`, which compiles this file with `cc -O3 -march=native` and holds the answers equal to ours.
 * Rows are CSR (offsets int64, ids uint32), a tag at most once a row; ties go to the smaller row. Each function returns
 * how many results it wrote. Prefetches stand where a walk would otherwise be one cache miss after the other. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD 24

typedef const int64_t *Offsets;
typedef const uint32_t *Ids;

/* Rows by length descending, then number, rows without tags left out: a counting sort. `starts[l]` is where length `l`
 * ends in the order; both are the caller's to free. */
static uint32_t *by_length(Offsets offsets, int64_t rows, int64_t *ranked, int64_t *longest, int64_t **ends) {
    int64_t most = 0;
    for (int64_t row = 0; row < rows; row++) {
        int64_t length = offsets[row + 1] - offsets[row];
        most = length > most ? length : most;
    }
    int64_t *next = calloc(most + 2, sizeof *next);
    for (int64_t row = 0; row < rows; row++) next[offsets[row + 1] - offsets[row]]++;
    int64_t total = 0;
    next[0] = 0;
    for (int64_t length = most; length > 0; length--) {
        int64_t count = next[length];
        next[length] = total;
        total += count;
    }
    uint32_t *order = malloc((total + 1) * sizeof *order);
    for (int64_t row = 0; row < rows; row++) {
        int64_t length = offsets[row + 1] - offsets[row];
        if (length) order[next[length]++] = (uint32_t)row;
    }
    *ranked = total, *longest = most, *ends = next;
    return order;
}

/* Complexity-first in one pass: round = 1 + min over the tags of the highest round that held them; the first `k` by
 * (round, rank). Once `k` samples lie in rounds up to r, later ones count only below r; at 1 the walk ends. */
int64_t complexity_first(Offsets offsets, Ids ids, int64_t rows, int64_t size, int64_t k, int64_t *picked) {
    int64_t ranked, longest, *ends;
    uint32_t *order = by_length(offsets, rows, &ranked, &longest, &ends);
    uint32_t *reached = calloc(size, sizeof *reached);
    uint32_t *kept_row = malloc((ranked + 1) * sizeof *kept_row), *kept_round = malloc((ranked + 1) * sizeof *kept_round);
    int64_t *in_round = calloc(ranked + 2, sizeof *in_round);
    int64_t kept = 0, total = 0;
    uint32_t end = UINT32_MAX, last = 0;
    for (int64_t at = 0; at < ranked && end > 1; at++) {
        if (at + 2 * AHEAD < ranked) __builtin_prefetch(&offsets[order[at + 2 * AHEAD]]);
        if (at + AHEAD < ranked) __builtin_prefetch(&ids[offsets[order[at + AHEAD]]]);
        uint32_t row = order[at], low = UINT32_MAX - 1;
        int64_t start = offsets[row], stop = offsets[row + 1];
        for (int64_t i = start; i < stop; i++) low = reached[ids[i]] < low ? reached[ids[i]] : low;
        uint32_t round = low + 1;
        if (round >= end) continue;
        for (int64_t i = start; i < stop; i++)
            if (reached[ids[i]] == low) reached[ids[i]] = round;
        kept_row[kept] = row, kept_round[kept++] = round;
        in_round[round]++, total++;
        last = round > last ? round : last;
        if (total >= k) {
            end = end < last + 1 ? end : last + 1;
            while (total >= k && end > 1) total -= in_round[--end];
        }
    }
    int64_t *starts = calloc(last + 2, sizeof *starts);
    for (int64_t i = 0; i < kept; i++) starts[kept_round[i] + 1]++;
    for (uint32_t round = 1; round <= last + 1; round++) starts[round] += starts[round - 1];
    for (int64_t i = 0; i < kept; i++) {
        int64_t at = starts[kept_round[i]]++;
        if (at < k) picked[at] = kept_row[i];
    }
    free(order), free(ends), free(reached), free(kept_row), free(kept_round), free(in_round), free(starts);
    return kept < k ? kept : k;
}

static int rising(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Greedy max coverage by a bucket a gain: a sample lies in the bucket of a bound on its gain, at first its length. The
 * highest bucket is gone through in row order; a sample whose gain is less goes to the bucket of that gain. When every
 * tag that a sample left over holds is covered, a round begins. */
int64_t max_coverage(Offsets offsets, Ids ids, int64_t rows, int64_t size, int64_t k, int64_t *picked) {
    int64_t ranked, longest, *ends;
    uint32_t *order = by_length(offsets, rows, &ranked, &longest, &ends);
    uint8_t *covered = malloc(size), *taken = calloc(rows, 1);
    int64_t *left = calloc(size, sizeof *left); /* samples left that hold the tag */
    for (int64_t i = 0; i < offsets[rows]; i++) left[ids[i]]++;
    uint32_t **moved = calloc(longest + 1, sizeof *moved);
    int64_t *count = calloc(longest + 1, sizeof *count), *room = calloc(longest + 1, sizeof *room);
    int64_t found = 0, before = -1;
    while (found < k && found > before) {
        before = found;
        int64_t open = 0;
        for (int64_t tag = 0; tag < size; tag++) covered[tag] = 0, open += left[tag] > 0;
        memset(count, 0, (longest + 1) * sizeof *count);
        for (int64_t bucket = longest; bucket > 0 && found < k && open > 0; bucket--) {
            int64_t at = bucket == longest ? 0 : ends[bucket + 1], end = ends[bucket], from = 0;
            qsort(moved[bucket], count[bucket], sizeof(uint32_t), rising);
            while ((at < end || from < count[bucket]) && found < k && open > 0) {
                uint32_t row;
                if (from == count[bucket] || (at < end && order[at] < moved[bucket][from])) {
                    if (at + 2 * AHEAD < end) __builtin_prefetch(&offsets[order[at + 2 * AHEAD]]);
                    if (at + AHEAD < end) __builtin_prefetch(&ids[offsets[order[at + AHEAD]]]);
                    row = order[at++];
                } else {
                    row = moved[bucket][from++];
                }
                if (taken[row]) continue;
                int64_t gain = 0;
                for (int64_t i = offsets[row]; i < offsets[row + 1]; i++) gain += !covered[ids[i]];
                if (gain == bucket) {
                    taken[row] = 1;
                    picked[found++] = row;
                    for (int64_t i = offsets[row]; i < offsets[row + 1]; i++) {
                        open -= !covered[ids[i]];
                        covered[ids[i]] = 1;
                        left[ids[i]]--;
                    }
                } else if (gain > 0) {
                    if (count[gain] == room[gain])
                        moved[gain] = realloc(moved[gain], (room[gain] = 2 * room[gain] + 64) * sizeof(uint32_t));
                    moved[gain][count[gain]++] = row;
                }
            }
        }
    }
    for (int64_t bucket = 0; bucket <= longest; bucket++) free(moved[bucket]);
    free(order), free(ends), free(covered), free(taken), free(left), free(moved), free(count), free(room);
    return found;
}

/* The fewest rows with both that make a rule from a tag of `count` rows. */
static int64_t needed(int64_t count, int64_t min_count, double min_confidence) {
    int64_t joint = (int64_t)(min_confidence * (double)count);
    while (joint > 0 && (double)(joint - 1) / (double)count >= min_confidence) joint--;
    while ((double)joint / (double)count < min_confidence) joint++;
    return joint > min_count ? joint : min_count;
}

/* Pair rules A => B without a table of pairs. A consequent is missing in at most m = count(A) - needed(A) rows of A, so
 * it stands in at least m + 8 of the first 2m + 8; what does is counted exactly in one more walk over the rows.
 * `antecedents`, `consequents` and `joint` have room for `room` candidates. */
int64_t pair_rules(Offsets offsets, Ids ids, int64_t rows, int64_t size, int64_t min_count, double min_confidence,
                   int64_t room, uint32_t *antecedents, uint32_t *consequents, int64_t *joint) {
    int64_t *counts = calloc(size, sizeof *counts), *starts = malloc((size + 1) * sizeof *starts);
    for (int64_t i = 0; i < offsets[rows]; i++) counts[ids[i]]++;
    starts[0] = 0;
    for (int64_t tag = 0; tag < size; tag++) {
        int64_t few = 0;
        if (counts[tag] >= min_count) {
            few = 2 * (counts[tag] - needed(counts[tag], min_count, min_confidence)) + 8;
            few = few > counts[tag] / 2 ? counts[tag] : few;
        }
        starts[tag + 1] = starts[tag] + few;
    }
    int64_t *next = malloc(size * sizeof *next), missing = starts[size];
    memcpy(next, starts, size * sizeof *next);
    uint32_t *chosen = malloc((missing + 1) * sizeof *chosen);
    for (int64_t row = 0; row < rows && missing > 0; row++)
        for (int64_t i = offsets[row]; i < offsets[row + 1]; i++)
            if (next[ids[i]] < starts[ids[i] + 1]) chosen[next[ids[i]]++] = (uint32_t)row, missing--;
    uint32_t *tally = calloc(size, sizeof *tally);
    int64_t *firsts = malloc((size + 1) * sizeof *firsts), found = 0;
    for (int64_t tag = 0; tag < size; tag++) {
        firsts[tag] = found;
        int64_t read = starts[tag + 1] - starts[tag];
        if (!read) continue;
        for (int64_t i = starts[tag]; i < starts[tag + 1]; i++) {
            if (i + AHEAD < starts[size]) __builtin_prefetch(&ids[offsets[chosen[i + AHEAD]]]);
            for (int64_t j = offsets[chosen[i]]; j < offsets[chosen[i] + 1]; j++) tally[ids[j]]++;
        }
        int64_t both = needed(counts[tag], min_count, min_confidence), least = read - (counts[tag] - both);
        for (int64_t other = 0; other < size; other++) {
            if (tally[other] >= least && other != tag && counts[other] >= both && found < room)
                antecedents[found] = (uint32_t)tag, consequents[found] = (uint32_t)other, joint[found++] = 0;
            tally[other] = 0;
        }
    }
    firsts[size] = found;
    int64_t *seen = malloc(size * sizeof *seen);
    memset(seen, 0xff, size * sizeof *seen);
    for (int64_t row = 0; row < rows; row++) {
        int64_t active = 0;
        for (int64_t i = offsets[row]; i < offsets[row + 1]; i++) active |= firsts[ids[i] + 1] - firsts[ids[i]];
        if (!active) continue;
        for (int64_t i = offsets[row]; i < offsets[row + 1]; i++) seen[ids[i]] = row;
        for (int64_t i = offsets[row]; i < offsets[row + 1]; i++)
            for (int64_t pair = firsts[ids[i]]; pair < firsts[ids[i] + 1]; pair++) joint[pair] += seen[consequents[pair]] == row;
    }
    int64_t rules = 0;
    for (int64_t pair = 0; pair < found; pair++) {
        if (joint[pair] < needed(counts[antecedents[pair]], min_count, min_confidence)) continue;
        antecedents[rules] = antecedents[pair], consequents[rules] = consequents[pair], joint[rules++] = joint[pair];
    }
    free(counts), free(starts), free(next), free(chosen), free(tally), free(firsts), free(seen);
    return rules;
}
