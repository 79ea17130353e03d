#include "shape.h"

namespace moebius {

router_shape router_shape_from(const json & inspection) {
    router_shape shape;
    shape.layers            = inspection.at("moeLayers").get<std::vector<int32_t>>();
    shape.expert_count      = inspection.at("expertCount").get<uint32_t>();
    shape.expert_used_count = inspection.at("expertUsedCount").get<uint32_t>();
    return shape;
}

}  // namespace moebius
