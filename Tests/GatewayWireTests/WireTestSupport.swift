import Foundation
import GatewayWire
import Glibc
import Synchronization

/// Memory that ends at an unreadable page. Regions are used again, since mapping one costs more than most tests.
private struct GuardedRegion: ~Copyable {
    private static let spares = Mutex<[UInt]>([])
    private static let spareSize = 1 << 16
    private let address: UInt
    let size: Int

    init(count: Int) {
        let page = Int(getpagesize())
        self.size = max(Self.spareSize, (count + page - 1) / page * page)
        if self.size == Self.spareSize, let spare = Self.spares.withLock({ $0.popLast() }) {
            self.address = spare
            return
        }
        guard let memory = mmap(nil, self.size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            memory != MAP_FAILED, mprotect(memory + self.size, page, PROT_NONE) == 0
        else { preconditionFailure("no guarded memory for \(count) bytes") }
        self.address = UInt(bitPattern: memory)
    }

    deinit {
        let address = self.address
        if self.size == Self.spareSize {
            Self.spares.withLock { $0.append(address) }
        } else {
            munmap(UnsafeMutableRawPointer(bitPattern: address), self.size + Int(getpagesize()))
        }
    }

    /// The last `count` bytes.
    func tail(count: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(
            start: UnsafeMutableRawPointer(bitPattern: self.address + UInt(self.size - count)), count: count)
    }
}

/// Gives `body` a copy of `bytes` that ends at an unreadable page, so that reading one byte too far crashes the test.
func withGuarded<Result>(_ bytes: some Collection<UInt8>, _ body: (UnsafeRawBufferPointer) throws -> Result) rethrows
    -> Result
{
    let region = GuardedRegion(count: bytes.count)
    let copy = region.tail(count: bytes.count)
    copy.copyBytes(from: bytes)
    let result = try body(UnsafeRawBufferPointer(copy))
    // The region must outlive the body.
    withExtendedLifetime(region.size) {}
    return result
}

func withGuarded<Result>(_ text: String, _ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try withGuarded(Array(text.utf8), body)
}

extension UnsafeRawBufferPointer {
    func text(_ range: ByteRange) -> String { String(decoding: self[range.range], as: UTF8.self) }
}

/// A small generator with a seed (splitmix64), so that a failure can be repeated.
struct WireRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { self.state = seed }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var value = self.state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

/// Recorded traffic of providers, from `MARTLET_FIXTURES` or beside the package.
enum RecordedTraffic {
    static var directory: String {
        if let path = ProcessInfo.processInfo.environment["MARTLET_FIXTURES"] { return path + "/providers" }
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return package.deletingLastPathComponent().path + "/shared/fixtures/providers"
    }

    /// Paths of all recorded files with this name, sorted. Empty when the recordings are absent.
    static func files(named name: String) -> [String] {
        guard let files = FileManager.default.enumerator(atPath: Self.directory) else { return [] }
        return files.compactMap { $0 as? String }.filter { $0.hasSuffix("/" + name) }.sorted()
    }

    static func bytes(_ path: String) -> [UInt8] {
        [UInt8](FileManager.default.contents(atPath: Self.directory + "/" + path) ?? Data())
    }
}
