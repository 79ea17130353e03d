#include "parameter-chunks.h"

#include <algorithm>
#include <atomic>
#include <future>

namespace moebius {

namespace {

constexpr size_t chunk_numbers = 128 * block_numbers;  // some 10 us of work: enough to make a thread's turn cheap, small enough for few to wait for the last

size_t blocks_of(size_t numbers) {
    return (numbers + block_numbers - 1) / block_numbers;
}

}  // namespace

std::vector<parameter_chunk> parameter_chunks(const std::vector<train_parameter> & parameters) {
    std::vector<parameter_chunk> chunks;
    for (size_t p = 0; p < parameters.size(); p++) {
        const size_t matrix = size_t(parameters[p].n0 * parameters[p].n1);
        for (size_t expert = 0; expert < size_t(parameters[p].n2); expert++) {
            for (size_t at = 0; at < matrix; at += chunk_numbers) {
                chunks.push_back({ p, expert * matrix + at, std::min(chunk_numbers, matrix - at), expert * blocks_of(matrix) + at / block_numbers });
            }
        }
    }
    return chunks;
}

size_t block_count(const train_parameter & parameter) {
    return blocks_of(size_t(parameter.n0 * parameter.n1)) * size_t(parameter.n2);
}

void for_each_chunk(size_t count, int threads, const std::function<void(size_t)> & work) {
    std::atomic<size_t> next{ 0 };
    const auto          turn = [&] {
        for (size_t i = next++; i < count; i = next++) {
            work(i);
        }
    };
    std::vector<std::future<void>> others;  // wait when they are destroyed, also if something throws
    for (size_t i = 1; i < std::min(size_t(std::max(threads, 1)), count); i++) {
        others.push_back(std::async(std::launch::async, turn));
    }
    turn();
    for (std::future<void> & other : others) {
        other.get();
    }
}

}  // namespace moebius
