#include "layout-writer.h"

#include "experts/store/file-descriptor.h"
#include "experts/store/file-reader.h"
#include "experts/store/low-precision.h"
#include "experts/store/slot-memory.h"
#include "file-writer.h"

#include <ggml-cpp.h>
#include <gguf.h>

#include <algorithm>
#include <numeric>

namespace moebius {

namespace {

constexpr uint64_t piece_bytes = 4u << 20;  // that are copied in one go

// Metadata and tensor table, padded to the data.
std::vector<uint8_t> layout_header(const expert_layout & layout, const std::string & fingerprint, const layout_orders & orders) {
    const gguf_context_ptr gguf(gguf_init_empty());
    const ggml_context_ptr tensors(ggml_init({ ggml_tensor_overhead() * layout.layers.size(), nullptr, true }));
    std::vector<uint32_t>  blocks, order;
    for (size_t i = 0; i < layout.layers.size(); i++) {
        blocks.push_back(uint32_t(layout.layers[i].block));
        order.insert(order.end(), orders[i].begin(), orders[i].end());
    }
    gguf_set_val_str(gguf.get(), "general.type", "expert-layout");
    gguf_set_val_u32(gguf.get(), "general.alignment", uint32_t(file_reader::alignment));
    gguf_set_val_u32(gguf.get(), layout_keys::version, layout_version);
    gguf_set_val_str(gguf.get(), layout_keys::fingerprint, fingerprint.c_str());
    gguf_set_val_u32(gguf.get(), layout_keys::experts, layout.experts);
    gguf_set_arr_data(gguf.get(), layout_keys::blocks, GGUF_TYPE_UINT32, blocks.data(), blocks.size());
    gguf_set_arr_data(gguf.get(), layout_keys::order, GGUF_TYPE_UINT32, order.data(), order.size());
    for (const expert_layer & layer : layout.layers) {
        ggml_tensor * tensor = ggml_new_tensor_2d(tensors.get(), GGML_TYPE_I8, int64_t(packed_offsets(layer.parts).back()), layout.experts);
        ggml_set_name(tensor, layout_tensor_name(layer).c_str());
        gguf_add_tensor(gguf.get(), tensor);
    }
    std::vector<uint8_t> header(file_reader::aligned(gguf_get_meta_size(gguf.get())), 0);
    gguf_get_meta_data(gguf.get(), header.data());
    return header;
}

uint64_t bytes_of_experts(const expert_layout & layout) {
    uint64_t sum = 0;
    for (const expert_layer & layer : layout.layers) {
        sum += packed_offsets(layer.parts).back() * layout.experts;
    }
    return sum;
}

uint64_t largest_part(const expert_layout & layout) {
    uint64_t most = 0;
    for (const expert_layer & layer : layout.layers) {
        for (const expert_part & part : layer.parts) {
            most = std::max(most, part.bytes);
        }
    }
    return most;
}

// The files of a model, read past the page cache.
class model_files {
  public:
    explicit model_files(const expert_layout & layout) : paths(layout.files) {
        for (const std::string & path : paths) {
            files.push_back(file_open_direct(path));
        }
    }
    ~model_files() {
        for (const opened_file & file : files) {
            file_close(file.descriptor);
        }
    }

    // The bytes come to lie somewhere in `room`.
    const uint8_t * read(uint32_t file, uint64_t offset, uint64_t bytes, slot_memory & room) const {
        const uint64_t shift = file_reader::shift_of(offset), needed = shift + bytes;
        const int64_t  got   = file_read_at(files[file].descriptor, { { room.data(), file_reader::aligned(needed) } }, needed, offset - shift);
        if (got < int64_t(needed)) {
            const std::string why = !files[file].error.empty() ? files[file].error : got < 0 ? "the disk reported an error" : "the file has become shorter";
            throw user_error("file.unreadable", paths[file] + " cannot be read: " + why + ".", { { "path", paths[file] } });
        }
        if (!files[file].direct) {
            file_forget(files[file].descriptor, offset, bytes);
        }
        return room.data() + shift;
    }

  private:
    std::vector<std::string> paths;
    std::vector<opened_file> files;
};

}  // namespace

layout_orders layout_orders_by_index(const expert_layout & layout) {
    std::vector<uint32_t> order(layout.experts);
    std::iota(order.begin(), order.end(), 0u);
    return layout_orders(layout.layers.size(), order);
}

uint64_t layout_write(const expert_layout & layout, const std::string & fingerprint, const layout_orders & orders, const std::string & path, uint64_t flush_bytes,
                      const std::function<bool(uint64_t, uint64_t)> & go_on) {
    const std::vector<uint8_t> header = layout_header(layout, fingerprint, orders);
    const std::vector<uint8_t> padding(file_reader::alignment, 0);
    const uint64_t             total = header.size() + bytes_of_experts(layout);
    const model_files files(layout);
    slot_memory       room(file_reader::room_for(piece_bytes));
    file_writer       out(path, total, flush_bytes);
    uint64_t          done = header.size();
    out.write(header.data(), header.size());
    for (size_t i = 0; i < layout.layers.size(); i++) {
        for (const uint32_t which : orders[i]) {
            for (const expert_part & part : layout.layers[i].parts) {
                for (uint64_t at = 0; at < part.bytes; at += piece_bytes) {
                    if (!go_on(done, total)) {
                        return 0;
                    }
                    const uint64_t bytes = std::min(piece_bytes, part.bytes - at);
                    out.write(files.read(part.file, part.offset + which * part.bytes + at, bytes, room), bytes);
                    done += bytes;
                }
                const uint64_t gap = file_reader::aligned(part.bytes) - part.bytes;
                out.write(padding.data(), gap);
                done += gap;
            }
        }
    }
    out.publish();
    return total;
}

uint64_t layout_write_low(const expert_layout & layout, const expert_layout & low, const std::string & fingerprint, const std::string & path,
                          const std::function<bool(uint64_t, uint64_t)> & go_on) {
    const layout_orders        orders = layout_orders_by_index(layout);
    const std::vector<uint8_t> header = layout_header(low, fingerprint, orders);
    const uint64_t             total  = header.size() + bytes_of_experts(low);
    const model_files          files(layout);
    slot_memory                room(file_reader::room_for(largest_part(layout)));
    file_writer                out(path, total, layout_flush_background);
    uint64_t                   done = header.size();
    out.write(header.data(), header.size());
    for (size_t i = 0; i < layout.layers.size(); i++) {
        const std::vector<expert_part> & parts   = layout.layers[i].parts;
        const std::vector<uint64_t>      offsets = packed_offsets(low.layers[i].parts);
        std::vector<uint8_t>             expert(offsets.back(), 0);
        for (uint32_t which = 0; which < layout.experts; which++) {
            for (size_t p = 0; p < parts.size(); p++) {
                if (!go_on(done, total)) {
                    return 0;
                }
                const uint8_t * matrix = files.read(parts[p].file, parts[p].offset + which * parts[p].bytes, parts[p].bytes, room);
                requantise(parts[p], matrix, low.layers[i].parts[p], expert.data() + offsets[p]);
            }
            out.write(expert.data(), expert.size());
            done += expert.size();
        }
    }
    out.publish();
    return total;
}

}  // namespace moebius
