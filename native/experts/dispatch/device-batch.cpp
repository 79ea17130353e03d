#include "device-batch.h"

#include <cstring>

namespace moebius {

void device_batch::gather(row_view input, size_t columns, std::vector<device_assignment> work) {
    n_embd      = columns;
    assignments = std::move(work);
    begins.clear();
    for (size_t i = 0; i < assignments.size(); i++) {
        if (i == 0 || assignments[i].token != assignments[i - 1].token) {
            begins.push_back(i);
        }
    }
    rows.resize(begins.size() * n_embd);
    sums.resize(rows.size());
    for (size_t t = 0; t < begins.size(); t++) {
        std::memcpy(rows.data() + t * n_embd, input.row(assignments[begins[t]].token), n_embd * sizeof(float));
    }
    begins.push_back(assignments.size());
}

void device_batch::add_to(row_view output) const {
    for (size_t t = 0; t < tokens(); t++) {
        float *       to   = output.row(assignments[begins[t]].token);
        const float * from = sums.data() + t * n_embd;
        for (size_t i = 0; i < n_embd; i++) {
            to[i] += from[i];
        }
    }
}

expert_batch device_batch::as_batch(uint32_t layer, int64_t used) const {
    expert_batch batch;
    batch.layer  = layer;
    batch.tokens = int64_t(tokens());
    batch.used   = used;
    batch.ids.assign(size_t(batch.tokens * used), -1);
    batch.weights.assign(batch.ids.size(), 0.0f);
    for (size_t t = 0; t < tokens(); t++) {
        for (size_t i = begins[t]; i < begins[t + 1]; i++) {
            const size_t at   = t * size_t(used) + (i - begins[t]);
            batch.ids[at]     = assignments[i].expert;
            batch.weights[at] = assignments[i].weight;
        }
    }
    return batch;
}

}  // namespace moebius
