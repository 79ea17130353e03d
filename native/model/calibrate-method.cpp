#include "calibrate-method.h"

#include "calibrate.h"
#include "experts/layout/layout-file.h"
#include "load-progress.h"
#include "rpc/parameters.h"
#include "tokenise.h"

#include <limits>

namespace moebius {

json calibrate_model(call & request, const json & params, const model_registry & registry) {
    parameters        source(params);
    const int32_t     model = int32_t(source.integer("model", 0, std::numeric_limits<int32_t>::max()));
    const std::string text  = source.string("text", 1);
    load_progress     progress(request, source.optional_string("progressToken"));
    source.finish();
    const model_lease              lease  = registry.lease(model);
    const std::vector<llama_token> tokens = tokenise(llama_model_get_vocab(lease->model.get()), text, false, false);
    const expert_sensitivity       found  = calibrate(*lease, tokens, [&](double share) {
        registry.lease(model);  // throws if it is to be unloaded
        progress.report("calibrate", share);
        request.throw_if_cancelled();
    });
    const gguf_model  file = gguf_open(lease->path);
    const std::string path = sensitivity_path_of(file);
    sensitivity_write(path, layout_fingerprint(file, lease->experts->store.layout()), found);
    json result    = sensitivity_to_json(found);
    result["path"] = path;
    return result;
}

}  // namespace moebius
