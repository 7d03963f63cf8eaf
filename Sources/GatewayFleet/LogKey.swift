/// Keys of log metadata. Messages are constants; facts go under these.
enum LogKey: String {
    case budgetSoftLimit = "martlet.budget.soft_limit"
    case budgetSpent = "martlet.budget.spent"
    case budgetWindow = "martlet.budget.window"
    case changePosition = "change.position"
    case errorMessage = "error.message"
    case jobName = "job.name"
    case jobResult = "job.result"
    case journalDirectory = "journal.directory"
    case journalEvents = "journal.events"
    case leaseEpoch = "lease.epoch"
    case subjectID = "martlet.subject.id"
    case subjectKind = "martlet.subject.kind"
}
