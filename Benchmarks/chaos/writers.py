"""Who commits with the Redis transport: PostgreSQL itself notes each commit and each taking of the fence, in their order."""

# The fence's row is locked from the update until the commit, so the numbers stand in the order of the commits.
WATCH = """
CREATE TABLE chaos_fence (
    number bigserial PRIMARY KEY, token_before bigint, token bigint, commits_before bigint, commits bigint, pod text
);
CREATE FUNCTION chaos_note_fence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_fence (token_before, token, commits_before, commits, pod)
    VALUES (OLD.token, NEW.token, OLD.commits, NEW.commits, current_setting('application_name'));
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_fence AFTER UPDATE ON martlet.writer_fence FOR EACH ROW EXECUTE FUNCTION chaos_note_fence();
"""
READ = "SELECT token_before, token, commits_before, commits, pod FROM chaos_fence ORDER BY number"


async def watch(server):
    """To be called once the pods have made their tables. Returns whether it could be."""
    return await server.query(WATCH) is not None


async def check(server, result):
    """One writer for each token, and no token twice. Returns (takings, commits)."""
    lines = await server.query(READ)
    if not lines:
        result.wrong("writers", "PostgreSQL has noted no commit of a writer")
        return 0, 0
    holder, known, commits_known, takings, commits = None, None, None, 0, 0
    for number, (before, token, commits_before, commits_after, pod) in enumerate(lines):
        before, token = int(before), int(token)
        step = int(commits_after) - int(commits_before)
        if known is not None and (before, int(commits_before)) != (known, commits_known):
            result.wrong("writers", f"change {number} begins with token {before}, the one before ended with {known}")
        known, commits_known = token, int(commits_after)
        if token == before + 1 and step == 0:
            holder, takings = pod, takings + 1
        elif token == before and step == 1:
            commits += 1
            # Who held it when the watch began is not known.
            if holder is not None and pod != holder:
                result.wrong("two writers", f"{pod} committed with token {token}, which {holder} had taken")
            holder = pod
        else:
            result.wrong("writers", f"change {number}: token {before} to {token}, {step} commits, by {pod}")
    return takings, commits
