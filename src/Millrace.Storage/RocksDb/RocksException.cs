namespace Millrace.Storage.RocksDb;

/// <summary>What kind of failure a store met, and so what may help.</summary>
public enum RocksFailure
{
    /// <summary>A file is damaged: nothing in the store can be trusted.</summary>
    Corruption,

    /// <summary>No room is left on the disk.</summary>
    DiskFull,

    /// <summary>Another process holds the folder.</summary>
    Locked,

    /// <summary>Another failure of the disk or its rights.</summary>
    Disk,
}

/// <summary>A failure of a store; the message names the folder, the file where RocksDB tells it, and the next step.</summary>
public sealed class RocksException(string folder, string operation, string detail)
    : IOException($"{operation} of the state store {folder} failed: {detail}{DamagedFile(folder, detail)}; {Advice(KindOf(detail))}")
{
    public string Folder { get; } = folder;

    public RocksFailure Kind { get; } = KindOf(detail);

    // rocksdb/util/status.cc: every message begins with its code's name.
    private static RocksFailure KindOf(string detail) => detail switch
    {
        _ when detail.StartsWith("Corruption", StringComparison.Ordinal) => RocksFailure.Corruption,
        _ when detail.Contains("No space left", StringComparison.Ordinal) => RocksFailure.DiskFull,
        _ when detail.Contains("lock", StringComparison.OrdinalIgnoreCase)
            && detail.StartsWith("IO error", StringComparison.Ordinal) => RocksFailure.Locked,
        _ => RocksFailure.Disk,
    };

    /// <summary>RocksDB's status names no file when its write-ahead log is damaged; its own journal, LOG, does (db/db_impl_open.cc, LogReporter).</summary>
    private static string DamagedFile(string folder, string detail)
    {
        if (KindOf(detail) != RocksFailure.Corruption || detail.Contains(folder, StringComparison.Ordinal))
            return "";
        try
        {
            var line = File.ReadLines(Path.Combine(folder, "LOG")).LastOrDefault(l => l.Contains("dropping", StringComparison.Ordinal));
            var words = line?.Split(' ', StringSplitOptions.RemoveEmptyEntries) ?? [];
            var at = Array.IndexOf(words, "dropping");
            var file = Array.Find(words, w => w.EndsWith(".log:", StringComparison.Ordinal))?.TrimEnd(':');
            if (file is null || at < 0 || at + 1 >= words.Length || !long.TryParse(words[at + 1], out var lost))
                return "";
            var path = Path.Combine(folder, file);
            return $" in {path}, {lost} bytes of {new FileInfo(path).Length}";
        }
        catch (IOException)
        {
            // The journal is a help, not a need.
            return "";
        }
    }

    private static string Advice(RocksFailure kind) => kind switch
    {
        RocksFailure.Corruption => "restore the folder from a copy, or move it away and start the job under a new name",
        RocksFailure.DiskFull => "make room on the disk; the job goes on by itself",
        RocksFailure.Locked => "stop the process that holds it",
        _ => "check the disk and the folder's rights",
    };
}
