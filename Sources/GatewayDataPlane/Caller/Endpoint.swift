import GatewayCore
import GatewayWire
import Glibc

/// What a request's target asks for.
enum Endpoint {
    case call(CallKind, Path)
    /// Anything else: the control plane's.
    case control

    /// What else the path says.
    struct Path {
        /// The model's name, still percent-encoded. Empty: the body names it.
        var model = ByteRange.empty
        var stream = CallOrigin.PathStream.unsaid
    }

    /// `target` is a verified origin-form within `bytes`.
    static func find(_ bytes: UnsafeRawBufferPointer, target: ByteRange) -> Endpoint {
        var end = Int(target.end)
        let start = Int(target.start)
        if start < end, let base = bytes.baseAddress,
            let query = memchr(base + start, CInt(UInt8(ascii: "?")), end - start)
        {
            end = UnsafeRawPointer(query) - base
        }
        var cursor = PathCursor(bytes: bytes, position: start, end: end)
        if cursor.skip("/openai/deployments/") || cursor.skip("/engines/") {
            return Self.deploymentEndpoint(cursor)
        }
        let whole = cursor
        _ = cursor.skip("/openai/v1/") || cursor.skip("/v1/") || cursor.skip("/")
        if let kind = cursor.kindAtEnd() { return .call(kind, Path()) }
        return Self.nativeEndpoint(whole, query: UnsafeRawBufferPointer(rebasing: bytes[end..<Int(target.end)]))
    }

    /// Paths that other makers' clients call below the gateway's address.
    private static func nativeEndpoint(_ path: PathCursor, query: UnsafeRawBufferPointer) -> Endpoint {
        var cursor = path
        if cursor.skip("/anthropic/v1/") {
            return cursor.kindAtEnd() == .messages ? .call(.messages, Path()) : .control
        }
        cursor = path
        _ = cursor.skip("/bedrock")
        if cursor.skip("/model/") {
            if let model = cursor.prefix(before: "/converse") {
                return .call(.converse, Path(model: model, stream: .whole))
            }
            if let model = cursor.prefix(before: "/converse-stream") {
                return .call(.converse, Path(model: model, stream: .events))
            }
            return .control
        }
        cursor = path
        _ = cursor.skip("/gemini")
        guard
            cursor.skip("/v1beta/") || cursor.skip("/v1/") || cursor.skip("/v1alpha/") || cursor.skip("/v1beta1/")
                || cursor.skip("/")
        else { return .control }
        _ = cursor.skip("publishers/google/")
        guard cursor.skip("models/") else { return .control }
        if let model = cursor.prefix(before: ":generateContent") {
            return .call(.generateContent, Path(model: model, stream: .whole))
        }
        guard let model = cursor.prefix(before: ":streamGenerateContent") else { return .control }
        let fields = query.dropFirst().split(separator: UInt8(ascii: "&"))
        let isEvents = fields.contains { $0.elementsEqual("alt=sse".utf8) }
        return .call(.generateContent, Path(model: model, stream: isEvents ? .events : .array))
    }

    /// The model's name may hold slashes, so the kind is looked for at the end.
    private static func deploymentEndpoint(_ cursor: PathCursor) -> Endpoint {
        for kind in [CallKind.chatCompletion, .completion, .embedding] {
            if let model = cursor.prefix(before: kind.path) { return .call(kind, Path(model: model)) }
        }
        return .control
    }
}

private struct PathCursor {
    let bytes: UnsafeRawBufferPointer
    var position: Int
    let end: Int

    @inline(__always)
    mutating func skip(_ text: StaticString) -> Bool {
        guard self.rest(from: self.position, starts: text) else { return false }
        self.position += text.utf8CodeUnitCount
        return true
    }

    @inline(__always)
    private func rest(from start: Int, starts text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard self.end - start >= count else { return false }
        return sameBytes(
            UnsafeRawBufferPointer(rebasing: self.bytes[start..<start + count]),
            UnsafeRawBufferPointer(start: text.utf8Start, count: count))
    }

    func kindAtEnd() -> CallKind? {
        switch self.end - self.position {
        case 16: self.rest(from: self.position, starts: "chat/completions") ? .chatCompletion : nil
        case 11: self.rest(from: self.position, starts: "completions") ? .completion : nil
        case 10: self.rest(from: self.position, starts: "embeddings") ? .embedding : nil
        case 8: self.rest(from: self.position, starts: "messages") ? .messages : nil
        case 9: self.rest(from: self.position, starts: "responses") ? .responses : nil
        default: nil
        }
    }

    /// What stands before `suffix` at the end of the path. `nil`: the path ends otherwise, or nothing stands there.
    func prefix(before suffix: String) -> ByteRange? {
        let count = suffix.utf8.count
        guard self.end - self.position > count else { return nil }
        let tail = UnsafeRawBufferPointer(rebasing: self.bytes[self.end - count..<self.end])
        return tail.elementsEqual(suffix.utf8) ? ByteRange(self.position, self.end - count) : nil
    }
}

/// Decodes `%XX`. `nil`: a malformed escape, or not UTF-8.
func percentDecoded(_ bytes: UnsafeRawBufferPointer) -> String? {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var index = 0
    while index < bytes.count {
        guard bytes[index] == UInt8(ascii: "%") else {
            result.append(bytes[index])
            index += 1
            continue
        }
        guard index + 2 < bytes.count, let high = hexValue(bytes[index + 1]), let low = hexValue(bytes[index + 2])
        else { return nil }
        result.append(high << 4 | low)
        index += 3
    }
    return String(validating: result, as: UTF8.self)
}

/// Whether both hold the same bytes.
@inline(__always)
func sameBytes(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> Bool {
    guard first.count == second.count else { return false }
    guard let left = first.baseAddress, let right = second.baseAddress, first.count > 0 else { return true }
    return memcmp(left, right, first.count) == 0
}
