import CMartlet
import Foundation
import GatewayLedger
import TestSupport
import Testing

/// How the kernel schedules the calling thread.
private struct Scheduling: Equatable, Sendable {
    var policy = sched_getscheduler(0)
    var nice = getpriority(Self.thread, 0)

    init() {}

    static let thread = __priority_which_t(PRIO_PROCESS.rawValue)
    /// SCHED_BATCH of sched(7), which Glibc's overlay does not have.
    static let batch: Int32 = 3
}

@Suite
struct `A background thread` {
    @Test
    func `gives way to all other threads`() async throws {
        let thread = try BackgroundThread(name: "test", share: .least)
        let before = await Task.detached { Scheduling() }.value
        let inside = await Task(executorPreference: thread) { Scheduling() }.value
        #expect(inside.policy == Scheduling.batch)
        #expect(inside.nice == 19)
        #expect(inside != before)
    }

    @Test
    func `is one thread, to which a task comes back after each wait`() async throws {
        let thread = try BackgroundThread(name: "test", share: .least)
        let first = await Task(executorPreference: thread) { pthread_self() }.value
        let others = await withTaskExecutorPreference(thread) {
            await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<100 {
                    group.addTask {
                        let before = pthread_self()
                        await Task.yield()
                        _ = await Task.detached { 0 }.value
                        return before == first && pthread_self() == first
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
        }
        #expect(others.count == 100 && others.allSatisfy { $0 })
        #expect(await Task.detached { pthread_self() }.value != first)
    }

    @Test
    func `does not outlive its executor`() async throws {
        for _ in 0..<20 {
            let thread = try BackgroundThread(name: "short-lived", share: .quarter)
            #expect(await Task(executorPreference: thread) { Self.isThere("short-lived") }.value)
        }
        try await onOwnThread { try waitUntil("the threads' end") { !Self.isThere("short-lived") } }
    }

    /// Whether this process has a thread of that name.
    private static func isThere(_ name: String) -> Bool {
        let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
        return tasks.contains { task in
            let comm = try? String(contentsOfFile: "/proc/self/task/\(task)/comm", encoding: .utf8)
            return comm == name + "\n"
        }
    }
}

@Suite
struct `A latency preference` {
    @Test
    func `changes neither policy nor nice value`() async throws {
        let (before, code, after) = try await onOwnThread { (Scheduling(), cmartlet_prefer_latency(), Scheduling()) }
        // EPERM: a sandbox forbids the call.
        #expect([0, EPERM].contains(code))
        #expect(before == after)
    }

    @Test
    func `keeps a nice value that its owner gave the thread`() async throws {
        let (code, after) = try await onOwnThread {
            _ = setpriority(Scheduling.thread, 0, 7)
            return (cmartlet_prefer_latency(), Scheduling())
        }
        #expect([0, EPERM].contains(code))
        #expect(after.nice >= 7)
    }
}

@Suite
struct `A thread that gives way` {
    @Test
    func `is never put before where its owner put it`() async throws {
        let (code, after) = try await onOwnThread {
            _ = setpriority(Scheduling.thread, 0, 15)
            return (cmartlet_prefer_others(10), Scheduling())
        }
        #expect(code == 0)
        #expect(after.nice >= 15 && after.policy == Scheduling.batch)
    }
}
