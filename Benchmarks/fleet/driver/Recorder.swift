import Synchronization

/// What is counted within the measured window.
final class Recorder: Sendable {
    struct Lag {
        let milliseconds: Double
        let events: Int
    }

    struct Figures {
        var commits: [Double] = []  // milliseconds
        var folds: [Double] = []  // milliseconds, of folds that found rows
        var lags: [Lag] = []
        var events = 0
        var retries = 0
        var lockSamples: [Int] = []
        var connectionsMax = 0
        var failures: [String] = []
    }

    private struct State {
        var isOpen = false
        var figures = Figures()
    }

    private let state = Mutex(State())

    func open() { self.state.withLock { $0.isOpen = true } }
    func close() { self.state.withLock { $0.isOpen = false } }
    var figures: Figures { self.state.withLock { $0.figures } }

    private func add(_ change: (inout Figures) -> Void) {
        self.state.withLock { if $0.isOpen { change(&$0.figures) } }
    }

    func committed(_ events: Int, began: Int64) {
        let milliseconds = Double(monotonicNow() - began) / 1e6
        self.add {
            $0.commits.append(milliseconds)
            $0.events += events
        }
    }

    func folded(began: Int64) {
        let milliseconds = Double(monotonicNow() - began) / 1e6
        self.add { $0.folds.append(milliseconds) }
    }

    /// Calls `range`, counted from 0, of one pod have become visible in counters now.
    func counted(_ range: Range<Int64>, of plan: Plan) {
        let now = monotonicNow()
        self.add { figures in
            // In steps of eight calls: 16 ms at 500 a second, far below what is measured.
            for number in stride(from: range.lowerBound, to: range.upperBound, by: 8) {
                figures.lags.append(
                    Lag(
                        milliseconds: Double(now - plan.due(number)) / 1e6,
                        events: Int(min(8, range.upperBound - number))))
            }
        }
    }

    func retried() { self.add { $0.retries += 1 } }

    func sampled(lockWaits: Int, connections: Int) {
        self.add {
            $0.lockSamples.append(lockWaits)
            $0.connectionsMax = max($0.connectionsMax, connections)
        }
    }

    /// Counts outside the window too.
    func failed(_ text: String) {
        self.state.withLock { if $0.figures.failures.count < 20 { $0.figures.failures.append(text) } }
    }
}

extension Recorder.Figures {
    /// - Parameter part: within 0...1. Returns 0 for nothing.
    static func percentile(_ values: [Double], _ part: Double) -> Double {
        let sorted = values.sorted()
        return sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]
    }

    func lag(_ part: Double) -> Double {
        let sorted = self.lags.sorted { $0.milliseconds < $1.milliseconds }
        let total = sorted.reduce(0) { $0 + $1.events }
        var seen = 0
        for lag in sorted {
            seen += lag.events
            if Double(seen) >= Double(total) * part { return lag.milliseconds }
        }
        return 0
    }
}
