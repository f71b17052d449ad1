using Millrace.Query.Engine;
using Millrace.Query.Text;
using Millrace.Query.Wire;

namespace Millrace.Query;

/// <summary>A statement that was parsed and planned in a session, to be run there any number of times.</summary>
public sealed class SqlStatement : IAsyncDisposable
{
    private readonly SqlSession _session;

    internal SqlStatement(SqlSession session, string sql, SqlCommand command, QueryPlan? plan, IReadOnlyList<SqlColumn>? columns)
    {
        _session = session;
        Sql = sql;
        Command = command;
        Plan = plan;
        Columns = command is SqlCommand.Query { Tag: "EXPLAIN" } ? ExplainRows.Columns : plan is null || command is SqlCommand.CreateTemp or SqlCommand.Declare or SqlCommand.Copy ? columns : plan.Columns;
    }

    public string Sql { get; }

    /// <summary>Empty for statements without rows; null when they depend on the parameters.</summary>
    public IReadOnlyList<SqlColumn>? Columns { get; }

    /// <summary>Parameters that must be given.</summary>
    public int ParameterCount => Plan?.Parameters.Count ?? 0;

    internal SqlCommand Command { get; }

    internal QueryPlan? Plan { get; }

    internal IReadOnlyList<PostgresType> ParameterTypes => Plan?.Parameters ?? [];

    public async ValueTask DisposeAsync()
    {
        if (Plan is not null)
            await _session.ReleaseAsync(Plan);
    }
}
