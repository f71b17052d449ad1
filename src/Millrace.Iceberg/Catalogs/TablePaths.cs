namespace Millrace.Iceberg.Catalogs;

/// <summary>
/// Paths as metadata stores them, to paths on this machine. A table that was moved after it was written is found by what follows its
/// own location, or by the longest end of a path that exists under the folder.
/// </summary>
internal sealed class TablePaths(string location, string folder)
{
    private readonly string _location = Plain(location);

    public static readonly TablePaths Direct = new("", "");

    /// <summary>The path without a file scheme.</summary>
    public static string Plain(string path)
    {
        if (path.StartsWith("file://", StringComparison.Ordinal))
            return path["file://".Length..];
        return path.StartsWith("file:", StringComparison.Ordinal) ? path["file:".Length..] : path;
    }

    public string Resolve(string stored)
    {
        var path = Plain(stored);
        if (folder.Length == 0 || _location == folder)
            return path;
        if (path.StartsWith(_location + "/", StringComparison.Ordinal))
            return folder + path[_location.Length..];
        var at = path.LastIndexOf("/data/", StringComparison.Ordinal);
        if (at < 0)
            at = path.LastIndexOf("/metadata/", StringComparison.Ordinal);
        return at < 0 ? path : folder + path[at..];
    }
}
