/// An answer of the server (RESP 2).
package enum RedisReply: Sendable, Equatable {
    /// Such as `OK`.
    case status(String)
    case bytes([UInt8])
    case integer(Int64)
    case array([RedisReply])
    case null
    /// The command failed; the others of its pipeline did not.
    case error(String)

    package var integer: Int64? { if case .integer(let value) = self { value } else { nil } }

    package var bytes: [UInt8]? { if case .bytes(let bytes) = self { bytes } else { nil } }

    /// Bytes or a status as text.
    package var text: String? {
        switch self {
        case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
        case .status(let text): text
        case .integer, .array, .null, .error: nil
        }
    }

    package var elements: [RedisReply] { if case .array(let elements) = self { elements } else { [] } }
}
