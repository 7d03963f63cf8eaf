import GatewayCore
import Glibc
import Synchronization

/// How LiteLLM writes, or wrote, what calls cost. Its own tables are wider and more; what is here is the least that can be
/// asked of it: a row of the call, spend of key, user and team and, where it writes in batches, two daily tables.
enum BaselineDesign: Sendable {
    /// A transaction for each call.
    case perCall
    /// A transaction for each tick of a pod, entities in the order in which they came.
    case batched
    /// As LiteLLM 1.109 does: entities sorted, a transaction for each table.
    case sorted

    static let schema = """
        CREATE SCHEMA baseline;
        CREATE TABLE baseline.spend_log (
            request_id text PRIMARY KEY, call_type text NOT NULL, api_key text NOT NULL, spend bigint NOT NULL,
            prompt_tokens int NOT NULL, completion_tokens int NOT NULL, total_tokens int NOT NULL,
            start_time timestamptz NOT NULL, end_time timestamptz NOT NULL, model text NOT NULL, model_group text NOT NULL,
            provider text NOT NULL, user_id text NOT NULL, team_id text NOT NULL, metadata jsonb NOT NULL
        );
        CREATE INDEX ON baseline.spend_log (start_time);
        CREATE TABLE baseline.key (id text PRIMARY KEY, spend bigint NOT NULL, settings jsonb) WITH (fillfactor = 50);
        CREATE TABLE baseline.usr (id text PRIMARY KEY, spend bigint NOT NULL, settings jsonb) WITH (fillfactor = 50);
        CREATE TABLE baseline.team (id text PRIMARY KEY, spend bigint NOT NULL, settings jsonb) WITH (fillfactor = 50);
        CREATE TABLE baseline.daily_user (
            user_id text, date text, api_key text, model text, prompt_tokens bigint, completion_tokens bigint,
            requests bigint, spend bigint, PRIMARY KEY (user_id, date, api_key, model)
        ) WITH (fillfactor = 50);
        CREATE TABLE baseline.daily_team (
            team_id text, date text, api_key text, model text, prompt_tokens bigint, completion_tokens bigint,
            requests bigint, spend bigint, PRIMARY KEY (team_id, date, api_key, model)
        ) WITH (fillfactor = 50);
        INSERT INTO baseline.key SELECT 'key-' || n, 0 FROM generate_series(0, \(Workload.keys - 1)) n;
        INSERT INTO baseline.usr SELECT 'user-' || n, 0 FROM generate_series(0, \(Workload.users - 1)) n;
        INSERT INTO baseline.team SELECT 'team-' || n, 0 FROM generate_series(0, \(Workload.teams - 1)) n;
        """

    /// Nothing when rows, keys, users, teams and daily tables agree.
    static let check = """
        SELECT 'counters differ from rows' FROM (
            SELECT (SELECT coalesce(sum(spend), 0) FROM baseline.spend_log) AS rows,
                (SELECT sum(spend) FROM baseline.key) AS keys, (SELECT sum(spend) FROM baseline.usr) AS users,
                (SELECT sum(spend) FROM baseline.team) AS teams
        ) s WHERE rows <> keys OR rows <> users OR rows <> teams
        """
}

/// One pod of a baseline, on a thread of its own.
struct BaselinePod {
    private static let rowsPerInsert = 100
    private static let entities = ["key", "usr", "team"]

    private let design: BaselineDesign
    private let index: Int
    private let plan: Plan
    private let recorder: Recorder
    private let stopped: Stop
    private let connection: PlainConnection
    private var calls: PodCalls
    private var random: Random

    init(
        design: BaselineDesign, index: Int, url: String, workload: Workload, plan: Plan, recorder: Recorder,
        stopped: Stop
    ) throws {
        self.design = design
        self.index = index
        self.plan = plan
        self.recorder = recorder
        self.stopped = stopped
        self.calls = PodCalls(workload: workload, plan: plan, pod: index)
        self.random = Random(seed: plan.seed &+ UInt64(index))
        self.connection = try PlainConnection(url, name: "pod\(index)")
        try self.prepare()
    }

    private func prepare() throws {
        try self.connection.run("SET lock_timeout = '5s'")
        let columns = [
            "text", "text", "text", "bigint", "int", "int", "int", "timestamptz", "timestamptz", "text", "text", "text",
            "text", "text", "jsonb",
        ]
        let arrays = columns.enumerated().map { "$\($0 + 1)::\($1)[]" }.joined(separator: ", ")
        try self.connection.prepare("rows", "INSERT INTO baseline.spend_log SELECT * FROM unnest(\(arrays))")
        for table in Self.entities {
            try self.connection.prepare(
                table, "UPDATE baseline.\(table) SET spend = spend + $2::bigint WHERE id = $1")
        }
        for owner in ["user", "team"] {
            try self.connection.prepare(
                "daily_\(owner)",
                """
                INSERT INTO baseline.daily_\(owner) AS d VALUES ($1, $2, $3, $4, $5::bigint, $6::bigint, $7::bigint, $8::bigint)
                ON CONFLICT (\(owner)_id, date, api_key, model) DO UPDATE SET
                    prompt_tokens = d.prompt_tokens + excluded.prompt_tokens,
                    completion_tokens = d.completion_tokens + excluded.completion_tokens,
                    requests = d.requests + excluded.requests, spend = d.spend + excluded.spend
                """)
        }
    }

    /// Blocks its thread until the run stops.
    /// - Returns: calls whose spend is in the database, nano-dollars.
    mutating func run() throws -> (made: Int64, spend: Int64) {
        var (made, spend): (Int64, Int64) = (0, 0)
        var next = self.plan.firstTick(of: self.index)
        var waiting: [PodCalls.Call] = []
        while !self.stopped.isRaised {
            sleepUntil(next)
            if self.stopped.isRaised { break }
            let bound = self.design == .perCall ? 1 : 10_000
            for _ in waiting.count..<max(waiting.count, min(bound, self.calls.due(before: monotonicNow()))) {
                waiting.append(self.calls.next())
            }
            if !waiting.isEmpty, try self.commit(waiting) {
                self.recorder.counted(made..<made + Int64(waiting.count), of: self.plan)
                made += Int64(waiting.count)
                spend += waiting.reduce(0) { $0 + $1.cost }
                waiting = []
            }
            next = self.nextTick(after: next)
        }
        return (made, spend)
    }

    private mutating func nextTick(after former: Int64) -> Int64 {
        if self.design == .perCall { return self.plan.due(self.calls.made) }
        let part = Int64.random(in: (Plan.tick / 10 * 9)...(Plan.tick / 10 * 11), using: &self.random)
        return self.plan.nextTick(after: former, now: monotonicNow(), shipperWaits: .nanoseconds(part))
    }

    /// One flush with as many tries as it takes. Returns whether it was committed; not when the run has stopped.
    private mutating func commit(_ calls: [PodCalls.Call]) throws -> Bool {
        let began = monotonicNow()
        for step in self.steps(calls) {
            var attempt = 0
            while !(try self.tryOnce(step)) {
                // Only a flush of one transaction may be left for good, else rows and counters would differ.
                if self.stopped.isRaised, self.design != .sorted { return false }
                attempt += 1
                sleepUntil(monotonicNow() + Int64.random(in: 0...(10_000_000 << min(attempt, 6)), using: &self.random))
            }
        }
        self.recorder.committed(calls.count, began: began)
        return true
    }

    /// Returns whether it was committed.
    private func tryOnce(_ step: [(name: String, values: [String])]) throws(PlainConnection.Failure) -> Bool {
        do throws(PlainConnection.Failure) {
            try self.connection.run("BEGIN")
            for statement in step { try self.connection.run(prepared: statement.name, statement.values) }
            try self.connection.run("COMMIT")
            return true
        } catch {
            guard error.isRetried else { throw error }
            try self.connection.run("ROLLBACK")
            self.recorder.retried()
            return false
        }
    }
}

extension BaselinePod {
    private typealias Statement = (name: String, values: [String])

    /// The transactions of a flush, each with its statements.
    private func steps(_ calls: [PodCalls.Call]) -> [[(name: String, values: [String])]] {
        var rows: [Statement] = []
        for first in stride(from: 0, to: calls.count, by: Self.rowsPerInsert) {
            rows.append(("rows", self.columns(calls[first..<min(calls.count, first + Self.rowsPerInsert)])))
        }
        let entities = Self.entities.map { self.updates($0, calls) }
        if self.design == .perCall { return [rows + entities.flatMap { $0 }] }
        let daily = ["user", "team"].map { self.daily($0, calls) }
        if self.design == .batched { return [rows + entities.flatMap { $0 } + daily.flatMap { $0 }] }
        let tables = (entities + daily).map { statements in
            statements.sorted { $0.values.lexicographicallyPrecedes($1.values) }
        }
        return tables + [rows]
    }

    private func owner(_ table: String, _ call: PodCalls.Call) -> String {
        switch table {
        case "key": "key-\(call.key)"
        case "team": "team-\(call.key % Workload.teams)"
        default: "user-\(call.key % Workload.users)"
        }
    }

    private func columns(_ calls: ArraySlice<PodCalls.Call>) -> [String] {
        func array(_ value: (PodCalls.Call) -> String) -> String { "{" + calls.map(value).joined(separator: ",") + "}" }
        let time = { (call: PodCalls.Call, later: Int64) in Self.timestamp(call.startedAt + later) }
        return [
            array { "chatcmpl-\(String($0.requestID.high, radix: 16))\(String($0.requestID.low, radix: 16))" },
            array { _ in "acompletion" }, array { self.owner("key", $0) }, array { "\($0.cost)" },
            array { "\($0.inputTokens)" }, array { "\($0.outputTokens)" },
            array { "\($0.inputTokens + $0.outputTokens)" },
            array { time($0, 0) }, array { time($0, 812_345) }, array { "gpt-sample-\($0.model)" },
            array { "group-\($0.model)" }, array { _ in "openai" }, array { self.owner("usr", $0) },
            array { self.owner("team", $0) }, array { _ in #""{\"status\": \"success\"}""# },
        ]
    }

    /// What PostgreSQL reads as a time; `to_timestamp` would be a call for each row.
    private static func timestamp(_ microseconds: Int64) -> String {
        var seconds = time_t(microseconds / 1_000_000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        return "\"\(parts.tm_year + 1900)-\(parts.tm_mon + 1)-\(parts.tm_mday) "
            + "\(parts.tm_hour):\(parts.tm_min):\(parts.tm_sec)+00\""
    }

    private func updates(_ table: String, _ calls: [PodCalls.Call]) -> [Statement] {
        var order: [String] = []
        var sums: [String: Int64] = [:]
        for call in calls {
            let owner = self.owner(table, call)
            if sums.updateValue((sums[owner] ?? 0) + call.cost, forKey: owner) == nil { order.append(owner) }
        }
        return order.map { (table, [$0, "\(sums[$0] ?? 0)"]) }
    }

    private func daily(_ owner: String, _ calls: [PodCalls.Call]) -> [Statement] {
        var order: [[String]] = []
        var sums: [[String]: [Int64]] = [:]
        for call in calls {
            let date = String(Self.timestamp(call.startedAt).dropFirst().prefix { $0 != " " })
            let group = [
                self.owner(owner == "team" ? "team" : "usr", call), date, self.owner("key", call),
                "gpt-sample-\(call.model)",
            ]
            let figures = [call.inputTokens, call.outputTokens, 1, call.cost]
            if let sum = sums[group] {
                sums[group] = zip(sum, figures).map { $0 + $1 }
            } else {
                sums[group] = figures
                order.append(group)
            }
        }
        return order.map { group in ("daily_\(owner)", group + (sums[group] ?? []).map { "\($0)" }) }
    }
}

/// Raised once, seen by all.
final class Stop: Sendable {
    private let flag = Atomic<Bool>(false)

    var isRaised: Bool { self.flag.load(ordering: .relaxed) }

    func raise() { self.flag.store(true, ordering: .relaxed) }
}
