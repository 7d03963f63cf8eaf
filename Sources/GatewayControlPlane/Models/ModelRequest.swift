import GatewayCore

/// The body of `/model/new` and of the updates, decoded. Pure.
struct ModelRequest: Sendable {
    /// Bytes of `litellm_params` and of `model_info` as JSON, sealed: many times what the longest known ones need.
    static let objectBytesMax = 64 << 10

    /// `nil`: not given.
    var modelName: String?
    /// `nil`: not given.
    var modelID: String?
    var parameters: [JSONMember]?
    var info: [JSONMember]?

    /// - Throws: 422 for fields of a wrong type, 400 for unknown ones.
    static func decode(_ members: [JSONMember]) throws(ControlRefusal) -> ModelRequest {
        var request = ModelRequest()
        for member in members where member.value != .null {
            switch member.name {
            case "model_name": request.modelName = try Self.text(member.value, at: ["model_name"])
            case "litellm_params": request.parameters = try Self.object(member.value, at: member.name)
            case "model_info":
                let info = try Self.object(member.value, at: member.name)
                if let id = info.first(where: { $0.name == "id" }), id.value != .null {
                    request.modelID = try Self.text(id.value, at: ["model_info", "id"])
                }
                // Where the model comes from is ours to say.
                request.info = info.filter { $0.name != "id" && $0.name != "db_model" }
            default:
                throw .badRequest(
                    "A model has only model_name, litellm_params and model_info; one of the other fields may belong "
                        + "into one of those.", param: Self.shown(member.name))
            }
        }
        return request
    }

    static func missing(_ path: String...) -> ControlRefusal {
        .invalid([FieldProblem(location: ["body"] + path, message: "Field required", type: "missing")])
    }

    static func text(_ value: JSONValue, at path: [String]) throws(ControlRefusal) -> String {
        guard case .string(let text) = value else {
            throw .invalid([
                FieldProblem(location: ["body"] + path, message: "Input should be a valid string", type: "string_type")
            ])
        }
        return text
    }

    static func object(_ value: JSONValue, at name: String) throws(ControlRefusal) -> [JSONMember] {
        guard case .object(let members) = value else {
            throw .invalid([
                FieldProblem(
                    location: ["body", name], message: "Input should be a valid dictionary", type: "dict_type")
            ])
        }
        guard value.text.utf8.count <= Self.objectBytesMax else {
            throw .invalid([
                FieldProblem(
                    location: ["body", name],
                    message: "Value should have at most \(Self.objectBytesMax) bytes as JSON", type: "too_long")
            ])
        }
        return members
    }

    /// A name from the request for an error's `param`, where it can be no secret that slipped.
    static func shown(_ name: String) -> String {
        let isPlain = name.utf8.allSatisfy { byte in
            byte == UInt8(ascii: "_") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
        }
        return isPlain && name.utf8.count <= 40 ? name : "body"
    }

    // MARK: Changes

    /// `former` with `changes` on top: given members replace those of the same name, null takes one away.
    static func merged(_ former: JSONValue, _ changes: [JSONMember]?) -> JSONValue {
        guard let changes, case .object(var members) = former else { return former }
        for change in changes {
            members.removeAll { $0.name == change.name && change.value == .null }
            if change.value == .null { continue }
            if let index = members.firstIndex(where: { $0.name == change.name }) {
                members[index].value = change.value
            } else {
                members.append(change)
            }
        }
        return .object(members)
    }

    /// `changes` with the masks that our answers show instead of secrets turned back into what is stored, so that a
    /// model that was read can be sent again.
    /// - Throws: 400 for a mask of anything else.
    static func unmasked(
        _ changes: [JSONMember]?, former: JSONValue, tree: SecretTree
    ) throws(ControlRefusal) -> [JSONMember]? {
        guard let changes else { return nil }
        let shown = tree.masked(former)
        var result: [JSONMember] = []
        for change in changes {
            if Self.holdsMask(change.value) {
                guard let stored = former[change.name], shown[change.name] == change.value else {
                    throw .badRequest(
                        "The value is the mask of a secret (****), not a secret. Send the secret itself, or leave the "
                            + "key out to keep what is stored.", param: Self.shown(change.name))
                }
                result.append(JSONMember(change.name, stored))
            } else {
                result.append(change)
            }
        }
        return result
    }

    private static func holdsMask(_ value: JSONValue) -> Bool {
        switch value {
        case .string(let text): text.hasPrefix(SecretTree.maskStart) && text.utf8.count <= 20
        case .array(let values): values.contains(where: self.holdsMask)
        case .object(let members): members.contains { self.holdsMask($0.value) }
        case .null, .bool, .number: false
        }
    }
}
