using Millrace.Columnar;

namespace Millrace.WebConsole.Seams;

/// <summary>Runs statements under the engine's caps.</summary>
public interface ISql
{
    /// <summary>Runs one statement and gives at most <paramref name="maxRows"/> rows; the caller disposes of the answer.</summary>
    Task<SqlAnswer> RunAsync(string sql, int maxRows, CancellationToken cancellation);
}

public abstract record SqlAnswer : IDisposable
{
    public abstract void Dispose();

    /// <param name="Truncated">More rows would have come.</param>
    public sealed record Rows(Schema Schema, IReadOnlyList<ColumnBatch> Batches, bool Truncated, string? Tag = null) : SqlAnswer
    {
        public override void Dispose()
        {
            foreach (var batch in Batches)
                batch.Dispose();
        }
    }

    /// <param name="SqlState">Five characters (SQL standard, PostgreSQL's table of error codes).</param>
    /// <param name="Position">Character (code point) of the statement where it went wrong, from 1; null when unknown.</param>
    public sealed record Fault(string SqlState, string Message, int? Position, string? Hint) : SqlAnswer
    {
        public override void Dispose()
        {
        }
    }
}
