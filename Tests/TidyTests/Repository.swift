import Foundation

/// The files of this clone that the rules look at.
enum Repository {
    static let root: URL = {
        var url = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url
    }()

    /// Text files below these; build products and the like are elsewhere.
    private static let folders = ["Sources", "Tests", "scripts", "docs", "Benchmarks", "Fuzz", "deploy", ".ci"]
    private static let bytesMax = 4 << 20

    static let files: [SourceFile] = {
        var result: [SourceFile] = []
        for folder in Self.folders {
            let start = Self.root.appendingPathComponent(folder)
            let found = FileManager.default.enumerator(at: start, includingPropertiesForKeys: [.isRegularFileKey])
            for case let url as URL in found ?? .init() {
                if let file = Self.file(at: url) { result.append(file) }
            }
        }
        for name in ["Package.swift", "README.md"] {
            if let file = Self.file(at: Self.root.appendingPathComponent(name)) { result.append(file) }
        }
        return result.sorted { $0.path < $1.path }
    }()

    /// `nil`: no regular text file.
    private static func file(at url: URL) -> SourceFile? {
        guard (try? url.resourceValues(forKeys: [.isRegularFileKey]))?.isRegularFile == true,
            !url.path.contains("/.build"), !url.path.contains("__pycache__"),
            let data = try? Data(contentsOf: url), data.count <= Self.bytesMax,
            let text = String(data: data, encoding: .utf8)
        else { return nil }
        return SourceFile(path: String(url.path.dropFirst(Self.root.path.count + 1)), text: text)
    }
}
