import Foundation

/// A part of a form that tests send.
struct FormField {
    var name: String
    var value: [UInt8]
    var fileName: String?

    init(_ name: String, _ value: String) {
        self.name = name
        self.value = Array(value.utf8)
    }

    init(_ name: String, file value: [UInt8], _ fileName: String = "audio.mp3") {
        self.name = name
        self.value = value
        self.fileName = fileName
    }
}

extension Wire {
    static let boundary = "----test5Boundary"
    static let formHeader = "Content-Type: multipart/form-data; boundary=\(boundary)"

    static func form(_ fields: [FormField]) -> [UInt8] {
        var body: [UInt8] = []
        for field in fields {
            let file = field.fileName.map { "; filename=\"\($0)\"\r\nContent-Type: application/octet-stream" } ?? ""
            body += Array(
                "--\(self.boundary)\r\nContent-Disposition: form-data; name=\"\(field.name)\"\(file)\r\n\r\n".utf8)
            body += field.value + Array("\r\n".utf8)
        }
        return body + Array("--\(self.boundary)--\r\n".utf8)
    }

    /// A form to transcribe with a file of this size that holds what looks like delimiters.
    static func audio(model: String? = "chat", count: Int = 8000, extra: [FormField] = []) -> [UInt8] {
        var file = Array("\r\n--\r\n--\(self.boundary.dropLast())\r\n\0\u{1}--".utf8)
        file += [UInt8](repeating: 0xA5, count: count - file.count)
        return self.form(
            (model.map { [FormField("model", $0)] } ?? []) + [FormField("file", file: file)] + extra)
    }

    static func bytes(_ path: String, form: [UInt8], headers: [String] = []) -> [UInt8] {
        let lines =
            ["POST \(path) HTTP/1.1", "Host: gateway", "Authorization: Bearer \(TestGateway.key)", self.formHeader]
            + headers + ["Content-Length: \(form.count)"]
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + form
    }
}
