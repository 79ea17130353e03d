#include "expert-order.h"

#include <algorithm>
#include <numeric>

namespace moebius {

namespace {

struct co_used_pair {
    uint64_t tokens;
    uint32_t a, b;
};

// Heaviest first; equal ones by number.
std::vector<co_used_pair> pairs_of(const co_use_counts & counts) {
    std::vector<co_used_pair> pairs;
    for (uint32_t a = 0; a < counts.size(); a++) {
        for (uint32_t b = a + 1; b < counts.size(); b++) {
            if (counts.of(a, b) > 0) {
                pairs.push_back({ counts.of(a, b), a, b });
            }
        }
    }
    std::stable_sort(pairs.begin(), pairs.end(), [](const co_used_pair & x, const co_used_pair & y) { return x.tokens > y.tokens; });
    return pairs;
}

// Joins the heaviest pairs whose experts are both still ends of paths, of different ones; then the paths, by their lowest number.
std::vector<uint32_t> join_greedily(const co_use_counts & counts) {
    std::vector<std::vector<uint32_t>> paths(counts.size());
    std::vector<uint32_t>              path_of(counts.size());
    for (uint32_t e = 0; e < counts.size(); e++) {
        paths[e]   = { e };
        path_of[e] = e;
    }
    const auto is_end = [&](uint32_t e) { return paths[path_of[e]].front() == e || paths[path_of[e]].back() == e; };
    for (const co_used_pair & pair : pairs_of(counts)) {
        if (path_of[pair.a] == path_of[pair.b] || !is_end(pair.a) || !is_end(pair.b)) {
            continue;
        }
        std::vector<uint32_t> & left  = paths[path_of[pair.a]];
        std::vector<uint32_t> & right = paths[path_of[pair.b]];
        if (left.back() != pair.a) {
            std::reverse(left.begin(), left.end());
        }
        if (right.front() != pair.b) {
            std::reverse(right.begin(), right.end());
        }
        left.insert(left.end(), right.begin(), right.end());
        right.clear();
        for (const uint32_t e : left) {
            path_of[e] = path_of[pair.a];
        }
    }
    std::sort(paths.begin(), paths.end(), [](const auto & x, const auto & y) {
        const auto lowest = [](const auto & path) { return path.empty() ? UINT32_MAX : *std::min_element(path.begin(), path.end()); };
        return lowest(x) < lowest(y);
    });
    std::vector<uint32_t> order;
    for (const auto & path : paths) {
        order.insert(order.end(), path.begin(), path.end());
    }
    return order;
}

// Between two positions of which one may be before the first or behind the last.
uint64_t weight_at(const co_use_counts & counts, const std::vector<uint32_t> & order, size_t left, size_t right) {
    return left < order.size() && right < order.size() ? counts.of(order[left], order[right]) : 0;
}

// Turns a stretch around where that makes the path heavier.
bool improve_by_turning(const co_use_counts & counts, std::vector<uint32_t> & order) {
    bool better = false;
    for (size_t i = 0; i < order.size(); i++) {
        for (size_t j = i + 1; j < order.size(); j++) {
            const uint64_t now    = weight_at(counts, order, i - 1, i) + weight_at(counts, order, j, j + 1);
            const uint64_t turned = weight_at(counts, order, i - 1, j) + weight_at(counts, order, i, j + 1);
            if (turned > now) {
                std::reverse(order.begin() + ptrdiff_t(i), order.begin() + ptrdiff_t(j) + 1);
                better = true;
            }
        }
    }
    return better;
}

// Moves a stretch of one to three, perhaps turned, to where that makes the path heavier.
bool improve_by_moving(const co_use_counts & counts, std::vector<uint32_t> & order) {
    bool better = false;
    for (size_t length = 1; length <= 3 && length < order.size(); length++) {
        for (size_t i = 0; i + length <= order.size(); i++) {
            std::vector<uint32_t> piece(order.begin() + ptrdiff_t(i), order.begin() + ptrdiff_t(i + length));
            std::vector<uint32_t> rest = order;
            rest.erase(rest.begin() + ptrdiff_t(i), rest.begin() + ptrdiff_t(i + length));
            const uint64_t loss = weight_at(counts, order, i - 1, i) + weight_at(counts, order, i + length - 1, i + length);
            const uint64_t gap  = weight_at(counts, rest, i - 1, i);
            for (size_t to = 0; to <= rest.size(); to++) {
                const uint64_t gone  = weight_at(counts, rest, to - 1, to);
                const auto     joint = [&](size_t side, uint32_t end) { return side < rest.size() ? counts.of(rest[side], end) : 0; };
                const uint64_t ahead = joint(to - 1, piece.front()) + joint(to, piece.back());
                const uint64_t back  = joint(to - 1, piece.back()) + joint(to, piece.front());
                if (gap + std::max(ahead, back) > loss + gone) {
                    if (back > ahead) {
                        std::reverse(piece.begin(), piece.end());
                    }
                    rest.insert(rest.begin() + ptrdiff_t(to), piece.begin(), piece.end());
                    order  = std::move(rest);
                    better = true;
                    break;
                }
            }
        }
    }
    return better;
}

}  // namespace

void co_use_counts::add(const std::vector<uint32_t> & chosen) {
    for (const uint32_t a : chosen) {
        for (const uint32_t b : chosen) {
            if (a != b) {
                counts[size_t(a) * experts + b]++;
            }
        }
    }
}

std::vector<uint32_t> expert_order(const co_use_counts & counts) {
    std::vector<uint32_t> best(counts.size());
    std::iota(best.begin(), best.end(), 0u);
    for (std::vector<uint32_t> order : { join_greedily(counts), best }) {
        while (improve_by_turning(counts, order) || improve_by_moving(counts, order)) {
        }
        if (neighbours_co_use(counts, order) > neighbours_co_use(counts, best)) {
            best = std::move(order);
        }
    }
    return best;
}

uint64_t neighbours_co_use(const co_use_counts & counts, const std::vector<uint32_t> & order) {
    uint64_t sum = 0;
    for (size_t i = 1; i < order.size(); i++) {
        sum += counts.of(order[i - 1], order[i]);
    }
    return sum;
}

uint32_t pieces_of(const std::vector<uint32_t> & chosen, const std::vector<uint32_t> & positions) {
    std::vector<uint32_t> places;
    for (const uint32_t expert : chosen) {
        places.push_back(positions[expert]);
    }
    std::sort(places.begin(), places.end());
    uint32_t pieces = places.empty() ? 0 : 1;
    for (size_t i = 1; i < places.size(); i++) {
        pieces += places[i] != places[i - 1] + 1 ? 1 : 0;
    }
    return pieces;
}

std::vector<uint32_t> positions_of(const std::vector<uint32_t> & order) {
    std::vector<uint32_t> positions(order.size());
    for (uint32_t i = 0; i < order.size(); i++) {
        positions[order[i]] = i;
    }
    return positions;
}

}  // namespace moebius
