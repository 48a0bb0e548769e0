// SPDX-License-Identifier: Apache-2.0
#include "kube/reflector.h"

#include <algorithm>

#include "kube/api_client.h"
#include "kube/document.h"
#include "kube/node_json.h"

namespace tokenlet::kube {
namespace {

constexpr Duration kShortestPause = std::chrono::seconds(1);
constexpr Duration kLongestPause = std::chrono::seconds(30);
constexpr Duration kPauseOfFinal = std::chrono::seconds(60);  // what only a person can mend
constexpr Duration kLongestAsked = std::chrono::minutes(5);   // a proxy's maintenance page may ask for hours

std::unexpected<Error> refuse(const ReflectorTarget& target, std::string_view what) {
    return fail(Errc::Unavailable, target.what + ": the server's answer is refused: " + std::string(what));
}

Duration pause_after(unsigned failures, std::uint64_t random) {
    const Duration most = std::min(kLongestPause, kShortestPause * (1U << std::min(failures - 1, 10U)));
    return most / 2 + Duration(static_cast<Duration::rep>(random % static_cast<std::uint64_t>((most / 2).count())));
}

}  // namespace

Reflector::Call Reflector::begin(std::uint64_t random) {
    const std::chrono::seconds time =
        kWatchTime + std::chrono::seconds(random % static_cast<std::uint64_t>((kWatchTime / 2).count()));
    const std::string seconds = std::to_string(time.count());
    heard_ = false;
    listing_ = false;
    watch_error_.reset();
    const std::string_view selector = target_.field_selector;
    if (!version_.empty()) {
        step_ = Step::Watch;
        return {step_,
                api_query({{"watch", "true"},
                           {"allowWatchBookmarks", "true"},
                           {"resourceVersion", version_},
                           {"timeoutSeconds", seconds},
                           {"fieldSelector", selector}}),
                time};
    }
    if (!streams_) {
        step_ = Step::List;
        return {step_, api_query({{"fieldSelector", selector}}), {}};
    }
    step_ = Step::StreamedList;
    listing_ = true;
    return {step_,
            api_query({{"watch", "true"},
                       {"allowWatchBookmarks", "true"},
                       {"sendInitialEvents", "true"},
                       {"resourceVersionMatch", "NotOlderThan"},
                       {"timeoutSeconds", seconds},
                       {"fieldSelector", selector}}),
            time};
}

Result<bool> Reflector::feed(std::string_view bytes) {
    bool news = false;
    while (!bytes.empty()) {
        const std::size_t end = bytes.find('\n');
        const std::string_view piece = bytes.substr(0, end);
        if (line_.size() + piece.size() > kMaxWatchLine)
            return refuse(target_, "a line of it is too long");
        if (end == std::string_view::npos) {
            line_.append(piece);
            break;
        }
        bytes.remove_prefix(end + 1);
        if (line_.empty()) {
            news = TRY(take_line(piece)) || news;
        } else {
            line_.append(piece);
            const tokenlet::Secret line = std::exchange(line_, {});
            news = TRY(take_line(line.view())) || news;
        }
    }
    return news;
}

Result<bool> Reflector::take_line(std::string_view line) {
    if (line.empty())
        return false;
    Result<Node> root = parse_json(line);
    if (!root)
        return refuse(target_, root.error().what);
    const WipedAtTheEnd wiped(*root);
    return take_event(*root);
}

Result<bool> Reflector::take_event(const Node& event) {
    const std::string type = text_at(event, {"type"});
    const Node* object = event.find("object");
    if (object == nullptr || object->kind != Node::Kind::Mapping)
        return refuse(target_, "an event has no object");
    if (type == "ERROR") {
        watch_error_ = read_status_object(target_.what, to_json(*object));
        return std::unexpected(watch_error_->error);
    }
    const std::string version = text_at(*object, {"metadata", "resourceVersion"});
    if (version.empty())
        return refuse(target_, "an object has no resourceVersion");
    heard_ = true;
    if (!listing_) {
        version_ = version;
        failures_ = 0;
    }
    if (type == "BOOKMARK") {
        if (!listing_ || text_at(*object, {"metadata", "annotations", "k8s.io/initial-events-end"}) != "true")
            return false;
        listing_ = false;
        version_ = version;
        failures_ = 0;
        return replace(std::exchange(listed_, {}));
    }
    const std::string name = text_at(*object, {"metadata", "name"});
    if (type == "ADDED" || type == "MODIFIED") {
        if (listing_) {
            listed_.json.insert_or_assign(name, json_of(*object));
            listed_.versions.insert_or_assign(name, version);
            return false;
        }
        objects_.insert_or_assign(name, json_of(*object));
        return std::exchange(versions_[name], version) != version;
    }
    if (type != "DELETED")
        return refuse(target_, "an event of a type that is not known");
    if (listing_) {
        listed_.json.erase(name);
        listed_.versions.erase(name);
        return false;
    }
    versions_.erase(name);
    return objects_.erase(name) > 0;
}

Result<bool> Reflector::take_list(std::string_view answer) {
    Result<Node> root = parse_json(answer);
    if (!root)
        return refuse(target_, root.error().what);
    const WipedAtTheEnd wiped(*root);
    const std::string version = text_at(*root, {"metadata", "resourceVersion"});
    if (version.empty())
        return refuse(target_, "it is no list");
    Objects objects;
    if (const Node* items = root->find("items"); items != nullptr) {
        for (const Node& item : items->children) {
            const std::string name = text_at(item, {"metadata", "name"});
            objects.json.insert_or_assign(name, json_of(item));
            objects.versions.insert_or_assign(name, text_at(item, {"metadata", "resourceVersion"}));
        }
    }
    heard_ = true;
    version_ = version;
    failures_ = 0;
    return replace(std::move(objects));
}

bool Reflector::replace(Objects objects) {
    const bool news = !known_ || objects.versions != versions_;
    known_ = true;
    objects_ = std::move(objects.json);
    versions_ = std::move(objects.versions);
    return news;
}

// As a manifest has it: items of a list do not say what they are, and who set which field is of no use here.
tokenlet::Secret Reflector::json_of(const Node& object) const {
    Node copy(object);
    const WipedAtTheEnd wiped(copy);
    for (Node& child : copy.children)
        if (child.key == "metadata")
            std::erase_if(child.children, [](const Node& field) { return field.key == "managedFields"; });
    if (object.find("kind") == nullptr) {
        for (const auto& [key, value] : {std::pair("kind", &target_.kind), {"apiVersion", &target_.api_version}}) {
            Node field;
            field.kind = Node::Kind::String;
            field.key = key;
            field.text = *value;
            copy.children.push_back(std::move(field));
        }
    }
    std::string json = to_json(copy);
    tokenlet::Secret secret(json);
    wipe_memory(json.data(), json.size());
    return secret;
}

Duration Reflector::ended(const ApiError* error, std::uint64_t random) {
    line_ = {};
    listed_ = {};
    const bool cut_short = listing_;
    listing_ = false;
    if (error == nullptr && heard_ && !cut_short)
        return Duration::zero();  // a list is done, or a watch is over: go on from there
    if (error != nullptr && step_ == Step::StreamedList && (error->http_status == 422 || error->http_status == 400)) {
        streams_ = false;
        return Duration::zero();
    }
    // Nothing heard, or cut off: a server that ends every call at once must not be asked without end.
    ++failures_;
    if (error != nullptr && error->is_expired()) {
        version_.clear();
        return failures_ == 1 ? Duration::zero() : pause_after(failures_, random);
    }
    if (error != nullptr && heard_ && !cut_short && error->http_status == 0 && failures_ == 1)
        return Duration::zero();  // its connection went: a new one may do
    Duration pause = error != nullptr && !error->is_retryable() && error->http_status != 401
                         ? kPauseOfFinal
                         : pause_after(failures_, random);
    if (error != nullptr && error->retry_after)
        pause = std::max(pause, std::min(*error->retry_after, kLongestAsked));
    return pause;
}

}  // namespace tokenlet::kube
