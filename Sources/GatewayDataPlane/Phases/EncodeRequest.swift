import GatewayCore
import GatewayRouting
import GatewayWire
import NIOCore

/// Phase 4: the bytes that go to the provider. The body goes through as it is but for the model's name and, when usage
/// must be asked for, `stream_options`.
enum EncodeRequest {
    /// One replacement in the body; `range` may be empty (an insertion).
    struct Edit {
        var range: Range<Int>
        var text: [UInt8]
    }

    /// Pieces of the body larger than this are sent from where they are instead of being copied.
    fileprivate static let copiedBytesMax = 4096

    /// What to write, in order: `pieces`, then `last`.
    struct Parts {
        /// Ends with a slice of the body. Empty: all of the request is in `last`.
        fileprivate(set) var pieces: [ByteBuffer] = []
        var last = ByteBuffer()

        fileprivate mutating func append(_ range: Range<Int>, of body: ByteBuffer) {
            guard !range.isEmpty else { return }
            if range.count <= EncodeRequest.copiedBytesMax {
                body.withUnsafeReadableBytes { bytes in
                    _ = self.last.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[range]))
                }
            } else if let slice = body.getSlice(at: body.readerIndex + range.lowerBound, length: range.count) {
                self.pieces.append(self.last)
                self.pieces.append(slice)
                self.last = ByteBuffer()
            }
        }

        fileprivate mutating func append(_ bytes: [UInt8]) { self.last.writeBytes(bytes) }

        fileprivate mutating func begin(head: [UInt8], length: Int) {
            self.last.write(capacity: head.count + 32) { writer in
                writer.append(head)
                writer.append(decimal: Int64(length))
                writer.append("\r\n\r\n")
            }
        }
    }

    /// The request in pieces: its head with small pieces of the body, and slices of the large ones.
    static func parts(call: Call, target: Target, edits: [Edit]) -> Parts {
        let deployment = target.deployment
        let head = deployment.requestHeads[Int(call.kind.rawValue)]
        guard deployment.credentials != nil else {
            return Self.parts(head: head, body: call.body, edits: edits, loop: call.loop)
        }
        let last = Array("content-length: ".utf8)
        return Self.parts(
            head: Array(head.dropLast(last.count)) + deployment.bearerLine + last, body: call.body, edits: edits,
            loop: call.loop)
    }

    /// The same with any head up to and with `content-length: `.
    @inline(__always)
    static func parts(head: [UInt8], body: ByteBuffer, edits: [Edit], loop: LoopContext) -> Parts {
        var length = body.readableBytes
        for edit in edits { length += edit.text.count - edit.range.count }
        let capacity = head.count + 32 + min(length, 2 * Self.copiedBytesMax)
        var parts = Parts(last: loop.buffer(capacity: capacity))
        parts.begin(head: head, length: length)
        var position = 0
        for edit in edits {
            parts.append(position..<edit.range.lowerBound, of: body)
            parts.append(edit.text)
            position = edit.range.upperBound
        }
        parts.append(position..<body.readableBytes, of: body)
        return parts
    }

    /// The replacements that this deployment needs, in ascending order.
    static func edits(for deployment: Deployment, scan: RequestScan, body: ByteBuffer, asksForUsage: Bool) -> [Edit] {
        var edits: [Edit] = []
        var inserted: [UInt8] = []
        if scan.modelToken.isEmpty {
            inserted += Array("\"model\":".utf8) + deployment.modelToken
        } else if !body.withUnsafeReadableBytes({ bytes in
            deployment.modelToken.withUnsafeBytes { sameBytes(bytes[scan.modelToken], $0) }
        }) {
            edits.append(Edit(range: scan.modelToken.range, text: deployment.modelToken))
        }
        if asksForUsage {
            if !scan.includeUsageToken.isEmpty {
                edits.append(Edit(range: scan.includeUsageToken.range, text: Array("true".utf8)))
            } else if scan.streamOptions.isEmpty {
                if !inserted.isEmpty { inserted.append(UInt8(ascii: ",")) }
                inserted += Array("\"stream_options\":{\"include_usage\":true}".utf8)
            } else if body.withUnsafeReadableBytes({ $0[scan.streamOptions].first }) == UInt8(ascii: "{") {
                let separator = scan.streamOptionsFieldCount > 0 ? "," : ""
                let position = Int(scan.streamOptions.start) + 1
                edits.append(
                    Edit(range: position..<position, text: Array("\"include_usage\":true\(separator)".utf8)))
            } else {
                edits.append(
                    Edit(range: scan.streamOptions.range, text: Array("{\"include_usage\":true}".utf8)))
            }
        }
        if !inserted.isEmpty {
            let separator: [UInt8] = scan.topLevelFieldCount > 0 ? [UInt8(ascii: ",")] : []
            edits.append(Edit(range: scan.objectEnd..<scan.objectEnd, text: separator + inserted))
        }
        if edits.count > 1 { edits.sort { $0.range.lowerBound < $1.range.lowerBound } }
        return edits
    }

    /// Whether usage must be asked for, so that the extra chunk has to be kept from the caller.
    static func asksForUsage(_ deployment: Deployment, kind: CallKind, scan: RequestScan) -> Bool {
        scan.stream && !scan.includeUsage && kind != .embedding && deployment.configuration.streamUsage == .onRequest
    }
}
