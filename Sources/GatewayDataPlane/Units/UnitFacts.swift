import GatewayCore
import GatewayWire

/// What a request for images, audio, moderation or rerank says of what it will be charged by.
struct UnitFacts {
    /// Images to be made.
    var images: Int64 = 1
    /// Such as `1024x1024`. `nil`: not said, or `auto`.
    var size: String?
    /// `nil`: not said, or `auto`.
    var quality: String?
    /// Images that are sent along.
    var inputImages: Int64 = 0
    /// Of the text to be spoken.
    var characters: Int64 = 0
    /// Of all files of a form together.
    var fileBytes: Int64 = 0
    /// Length of the audio by its own head (WAV). `nil`: its format does not say in front.
    var microseconds: Int64?
    var documents: Int64 = 0
    var queryBytes: Int64 = 0
    /// Where a form names the model, without line ends. `nil`: it is JSON, or names none.
    var formModel: ByteRange?
    /// Offset in a form where a part can be put in front. `nil`: it is JSON.
    var formInsertion: Int?

    /// More than any provider makes for one call, and few enough to be multiplied by what one costs.
    static let imagesMax: Int64 = 1 << 20

    init() {}

    // MARK: JSON

    /// - Parameter body: a JSON object, verified.
    /// - Throws: the body says one thing twice, or has more values than it may.
    init(_ body: UnsafeRawBufferPointer, kind: CallKind, choiceCount: Int64) throws(GatewayError) {
        guard choiceCount <= Self.imagesMax else { throw .tooManyImages }
        self.images = choiceCount
        let tree = JSONTree()
        guard let root = try? tree.read(body) else {
            throw .invalid("The request body has more values than such a request can have.", param: "request_body")
        }
        defer { withExtendedLifetime(tree) {} }
        switch kind {
        case .imageGeneration, .imageEdit, .imageVariation:
            self.size = Self.named(try FormatFacts.member(root, "size")?.text?.string)
            self.quality = Self.named(try FormatFacts.member(root, "quality")?.text?.string)
            for name in ["image", "images", "mask"] as [StaticString] {
                guard let value = root[name] else { continue }
                self.inputImages += value.kind == .array ? Int64(value.elements.reduce(0) { count, _ in count + 1 }) : 1
            }
        case .speech:
            if let text = try FormatFacts.member(root, "input")?.text?.string {
                self.characters = Int64(text.unicodeScalars.count)
            }
        case .rerank:
            self.queryBytes = Int64(try FormatFacts.member(root, "query")?.source.count ?? 0)
            let documents = try FormatFacts.member(root, "documents")
            self.documents = Int64(documents?.elements.reduce(0) { count, _ in count + 1 } ?? 0)
        default: break
        }
    }

    /// Longer ones are no sizes and no qualities.
    private static let nameBytesMax = 32

    private static func named(_ text: String?) -> String? {
        guard let text, !text.isEmpty, text != "auto", text.utf8.count <= Self.nameBytesMax else { return nil }
        return text
    }

    // MARK: Forms

    private enum Field: String, CaseIterable {
        case model, n, size, quality, stream, user
    }

    /// Reads a form, and notes in `scan` what JSON bodies are scanned for.
    ///
    /// - Parameter contentType: of the body.
    /// - Throws: it is malformed, or says one thing twice.
    init(form body: UnsafeRawBufferPointer, contentType: [UInt8], scan: inout RequestScan) throws(GatewayError) {
        guard let boundary = contentType.withUnsafeBytes({ FormScan.boundary(ofContentType: $0) }) else {
            throw .invalid(
                "The Content-Type is not multipart/form-data with one boundary of 1 to 70 characters: send that.",
                param: "content-type")
        }
        let form: FormScan
        do throws(FormFault) {
            form = try FormScan(body, boundary: boundary)
        } catch {
            throw .invalid(error.message, param: error.param ?? "request_body")
        }
        self.formInsertion = form.firstDelimiter
        var seen: Set<Field> = []
        for part in form.parts {
            if part.isFile {
                self.addFile(part, body)
                continue
            }
            scan.inputTextBytes += part.content.count
            guard let field = try Self.field(body[part.name]) else { continue }
            guard seen.insert(field).inserted else {
                throw .invalid(
                    "The field '\(field.rawValue)' stands in the request twice: send it once.", param: field.rawValue)
            }
            try self.read(field, part.content, body, &scan)
        }
    }

    /// - Throws: the name differs from one of ours in letter case only, so that readers could differ in what it means.
    private static func field(_ name: UnsafeRawBufferPointer) throws(GatewayError) -> Field? {
        for field in Field.allCases where name.count == field.rawValue.utf8.count {
            if name.elementsEqual(field.rawValue.utf8) { return field }
            let isFolded = zip(name, field.rawValue.utf8).allSatisfy { $0 | 0x20 == $1 }
            if isFolded {
                throw .invalid(
                    "A field of the form differs from '\(field.rawValue)' in letter case only: write it so.",
                    param: field.rawValue)
            }
        }
        return nil
    }

    private mutating func read(
        _ field: Field, _ content: ByteRange, _ body: UnsafeRawBufferPointer, _ scan: inout RequestScan
    ) throws(GatewayError) {
        let bytes = body[content]
        switch field {
        case .model:
            guard !bytes.contains(where: { $0 < 0x20 || $0 == 0x7F }), String(validating: bytes, as: UTF8.self) != nil
            else { throw .invalid("The field 'model' is no name: send one line of text.", param: "model") }
            self.formModel = content
            scan.model = content
        case .n:
            guard let count = Int64(String(decoding: bytes, as: UTF8.self)), count >= 1 else {
                throw .invalid("The field 'n' is no whole number of 1 or more: send one.", param: "n")
            }
            guard count <= Self.imagesMax else { throw .tooManyImages }
            self.images = count
            scan.choiceCount = count
        case .size: self.size = Self.named(String(decoding: bytes, as: UTF8.self))
        case .quality: self.quality = Self.named(String(decoding: bytes, as: UTF8.self))
        case .stream: scan.stream = ["true", "True", "1"].contains(String(decoding: bytes, as: UTF8.self))
        case .user: scan.user = content
        }
    }

    private mutating func addFile(_ part: FormPart, _ body: UnsafeRawBufferPointer) {
        let bytes = body[part.content]
        self.fileBytes += Int64(bytes.count)
        self.inputImages += 1
        if let length = Self.lengthOfWAV(bytes) { self.microseconds = (self.microseconds ?? 0) + length }
    }

    /// By the sampling rate and the size of a frame, as decoders take it. `nil`: no WAV file with its format in front.
    private static func lengthOfWAV(_ bytes: UnsafeRawBufferPointer) -> Int64? {
        guard bytes.count > 44, bytes.prefix(4).elementsEqual("RIFF".utf8),
            bytes[8..<16].elementsEqual("WAVEfmt ".utf8)
        else { return nil }
        let rate = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt32.self))
        let frame = UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 32, as: UInt16.self))
        let bytesPerSecond = Int64(rate) * Int64(frame)
        guard bytesPerSecond > 0 else { return nil }
        return Int64(bytes.count - 44) * 1_000_000 / bytesPerSecond
    }
}

extension GatewayError {
    fileprivate static let tooManyImages = GatewayError.invalid(
        "The field 'n' asks for more than \(UnitFacts.imagesMax) images: send a smaller number.", param: "n")
}
