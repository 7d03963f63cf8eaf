import GatewayCore
import GatewayWire
import Glibc

/// What a request's target asks for.
enum Endpoint {
    /// A call to a model; `pathModel` is the name in the path, when it has one, still percent-encoded.
    case call(CallKind, pathModel: ByteRange)
    /// Anything else: the control plane's.
    case control

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
        _ = cursor.skip("/openai/v1/") || cursor.skip("/v1/") || cursor.skip("/")
        guard let kind = cursor.kindAtEnd() else { return .control }
        return .call(kind, pathModel: .empty)
    }

    /// The model's name may hold slashes, so the kind is looked for at the end.
    private static func deploymentEndpoint(_ cursor: PathCursor) -> Endpoint {
        for kind in [CallKind.chatCompletion, .completion, .embedding] {
            if let model = cursor.prefix(before: kind.path) { return .call(kind, pathModel: model) }
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
