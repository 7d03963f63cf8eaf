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
    private static let copiedBytesMax = 4096

    /// - Returns: what to write, in order: the head with small pieces of the body, and slices of the large ones.
    static func parts(for deployment: Deployment, kind: CallKind, body: ByteBuffer, edits: [Edit]) -> [ByteBuffer] {
        var length = body.readableBytes
        for edit in edits { length += edit.text.count - edit.range.count }
        let head = deployment.requestHeads[Int(kind.rawValue)]
        var parts: [ByteBuffer] = []
        var current = ByteBufferAllocator().buffer(capacity: head.count + 32 + min(length, 2 * Self.copiedBytesMax))
        current.writeBytes(head)
        current.write(capacity: 32) { writer in
            writer.append(decimal: Int64(length))
            writer.append("\r\n\r\n")
        }
        func copyOrSlice(_ range: Range<Int>) {
            guard !range.isEmpty,
                let slice = body.getSlice(at: body.readerIndex + range.lowerBound, length: range.count)
            else { return }
            if range.count <= Self.copiedBytesMax {
                current.writeImmutableBuffer(slice)
            } else {
                parts.append(current)
                parts.append(slice)
                current = ByteBuffer()
            }
        }
        var position = 0
        for edit in edits {
            copyOrSlice(position..<edit.range.lowerBound)
            current.writeBytes(edit.text)
            position = edit.range.upperBound
        }
        copyOrSlice(position..<body.readableBytes)
        if current.readableBytes > 0 { parts.append(current) }
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
