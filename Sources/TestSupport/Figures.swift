import Foundation

/// What tests measure, for those who want to see it: set `MARTLET_FIGURES=1`.
package enum Figures {
    package static func line(_ text: String) {
        guard ProcessInfo.processInfo.environment["MARTLET_FIGURES"] != nil else { return }
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }
}
