namespace Millrace.Iceberg.Catalogs;

/// <summary>
/// Paths as metadata stores them, to paths on this machine. A table that was moved after it was written is found by what follows its
/// own location, or what was moved together with it.
/// </summary>
internal sealed class TablePaths(string location, string folder)
{
    private readonly string _location = Plain(location);
    private readonly int _sharedEnd = SharedEnd(Plain(location), folder);

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
        if (_sharedEnd > 0 && path.StartsWith(_location[..^_sharedEnd], StringComparison.Ordinal))
            return folder[..^_sharedEnd] + path[(_location.Length - _sharedEnd)..];
        var at = path.LastIndexOf("/data/", StringComparison.Ordinal);
        if (at < 0)
            at = path.LastIndexOf("/metadata/", StringComparison.Ordinal);
        return at < 0 ? path : folder + path[at..];
    }

    /// <summary>Characters of the whole folder names that both paths end with: what was moved together.</summary>
    private static int SharedEnd(string location, string folder)
    {
        var shared = 0;
        for (var i = 1; i <= Math.Min(location.Length, folder.Length) && location[^i] == folder[^i]; i++)
        {
            if (location[^i] == '/')
                shared = i;
        }
        return shared;
    }
}
