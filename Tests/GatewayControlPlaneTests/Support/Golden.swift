import Foundation
import Testing

/// Compares with the file of this name in `Golden/`; `UPDATE_GOLDEN=1` rewrites it, and the diff is reviewed.
func expectGolden(
    _ text: String, _ name: String, location: SourceLocation = #_sourceLocation
) throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let golden = folder.appendingPathComponent("Golden").appendingPathComponent(name)
    if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1" {
        try Data(text.utf8).write(to: golden)
        return
    }
    let expected = try String(contentsOf: golden, encoding: .utf8)
    #expect(text == expected, "differs from Golden/\(name)", sourceLocation: location)
}
