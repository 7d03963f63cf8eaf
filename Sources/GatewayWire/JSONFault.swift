/// Why a JSON request body was refused. Offsets are bytes from the start of the body; no content is ever quoted.
package enum JSONFault: Error, Hashable, Sendable {
    /// The top-level fields that the gateway acts on.
    package enum Field: UInt8, Hashable, Sendable, CaseIterable {
        case model, stream, streamOptions, includeUsage, maxTokens, maxCompletionTokens, choiceCount, user, mockResponse

        /// As written in the body; of a nested field with its path.
        package var name: String {
            switch self {
            case .model: "model"
            case .stream: "stream"
            case .streamOptions: "stream_options"
            case .includeUsage: "stream_options.include_usage"
            case .maxTokens: "max_tokens"
            case .maxCompletionTokens: "max_completion_tokens"
            case .choiceCount: "n"
            case .user: "user"
            case .mockResponse: "mock_response"
            }
        }
    }

    /// Not JSON (RFC 8259).
    case malformed(offset: Int)
    /// The body ends within a value.
    case truncated
    case tooDeep(offset: Int)
    case tooLarge
    case notAnObject
    case trailingBytes(offset: Int)
    case invalidUTF8(offset: Int)
    /// The field came twice: two readers could act on different ones.
    case duplicateField(Field)
    /// A key equal to the field but for letter case: some providers would take it for the field.
    case ambiguousField(Field)
    case wrongType(Field)

    /// What is wrong, where, and how to mend it.
    package var message: String {
        switch self {
        case .malformed(let offset): "The request body is not valid JSON: unexpected byte at offset \(offset)."
        case .truncated: "The request body is not valid JSON: it ends within a value. Send the whole body."
        case .tooDeep(let offset):
            "The request body is nested deeper than \(JSONScanner.depthMax) levels at offset \(offset): flatten it."
        case .tooLarge: "The request body is too large to be scanned: send less than 2 GiB."
        case .notAnObject: "The request body must be a JSON object."
        case .trailingBytes(let offset):
            "The request body has bytes after its JSON object, from offset \(offset): remove them."
        case .invalidUTF8(let offset): "The request body is not valid UTF-8 at offset \(offset): encode it as UTF-8."
        case .duplicateField(let field): "The field '\(field.name)' is repeated: send it once."
        case .ambiguousField(let field):
            "A field differs from '\(field.name)' in letter case only: use the lower-case name."
        case .wrongType(let field): "The field '\(field.name)' has a wrong type: \(Self.expectation(field))."
        }
    }

    /// The field at fault. `nil`: the body as a whole.
    package var param: String? {
        switch self {
        case .duplicateField(let field), .ambiguousField(let field), .wrongType(let field): field.name
        default: nil
        }
    }

    private static func expectation(_ field: Field) -> String {
        switch field {
        case .model, .user: "send a string"
        case .stream, .includeUsage: "send true or false"
        case .streamOptions: "send an object"
        case .maxTokens, .maxCompletionTokens: "send an integer"
        case .choiceCount: "send an integer of at least 1"
        case .mockResponse: "send a string or an object"
        }
    }
}
