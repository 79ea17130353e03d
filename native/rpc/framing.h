// LSP base-protocol framing: `Content-Length: N\r\n\r\n` and N bytes. Knows nothing of JSON or descriptors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace moebius {

inline constexpr size_t   frame_header_limit  = 4096;              // bytes of a header, its empty line included
inline constexpr uint64_t frame_payload_limit = 64ull * 1024 * 1024;  // bytes of a payload

struct frame_event {
    enum class kind_type {
        payload,    // `text` is one whole payload
        too_large,  // a payload over the limit is being skipped; `text` says so. The stream goes on after it.
        broken,     // the header makes no sense; `text` says why. No later byte can be trusted; nothing more comes.
    };
    kind_type   kind;
    std::string text;
};

// Push parser: append() what was read, then take events until there are none. Not thread-safe.
// Memory: at most the limits above, whatever the peer sends or claims.
class frame_parser {
  public:
    explicit frame_parser(uint64_t payload_limit = frame_payload_limit) : payload_limit(payload_limit) {}

    void                       append(const char * data, size_t size);
    std::optional<frame_event> next();

    // true between the first byte of a header and the last of its payload: the end of the stream here is a cut frame
    bool inside_frame() const;

  private:
    std::optional<frame_event> take_header();
    std::optional<frame_event> take_payload();
    frame_event                fail(std::string why);

    enum class state_type { header, payload, skipping, broken };

    uint64_t    payload_limit;
    state_type  state     = state_type::header;
    uint64_t    remaining = 0;  // bytes of the current payload still to come or skip
    std::string buffer;
    size_t      position = 0;  // first byte of `buffer` that is not used up
};

// `Content-Length: N\r\n\r\n`
std::string frame_header(size_t payload_size);

}  // namespace moebius
