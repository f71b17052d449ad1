using System.ComponentModel;

namespace Millrace.WebConsole.Wire;

public sealed record TableList(IReadOnlyList<TableInfo> Tables);

public sealed record TableInfo(
    string Namespace, string Name, long Rows, long Bytes, int Files, int Snapshots,
    [property: Description("as text: ids pass 2^53")] string? SnapshotId, DateTimeOffset? UpdatedAt,
    [property: Description("why the table cannot be read, and what to do")] string? Problem = null);

public sealed record TableDetail(
    TableInfo Table, string Location, int FormatVersion, IReadOnlyList<TableColumn> Columns,
    [property: Description("names of the identifier columns")] IReadOnlyList<string> Key,
    IReadOnlyList<SnapshotInfo> SnapshotLog,
    [property: Description("data files of the current snapshot, at most 1000")] IReadOnlyList<DataFileInfo> DataFiles);

public sealed record TableColumn(int Id, string Name, string Type, bool Required);

public sealed record SnapshotInfo(
    string Id, string? ParentId, DateTimeOffset At, string Operation, long? AddedRows, long? TotalRows,
    IReadOnlyDictionary<string, string> Summary);

public sealed record UpkeepReply(
    string Table,
    [property: Description("nothing was done: this is what would be")] bool DryRun,
    [property: Description("ids of the snapshots that went")] IReadOnlyList<string> Expired,
    [property: Description("id of the snapshot that a compaction made")] string? Snapshot,
    [property: Description("files that a compaction took")] int FilesBefore,
    int FilesAfter, long BytesBefore,
    [property: Description("an estimate in a dry run")] long BytesAfter,
    int DeletedFiles,
    [property: Description("bytes of data files; absent where it is not counted")] long? DeletedBytes);

public sealed record DataFileInfo(string Path, long Rows, long Bytes);
