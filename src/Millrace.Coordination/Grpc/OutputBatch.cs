namespace Millrace.Coordination.Grpc;

/// <summary>Something better done once for many requests than once for each.</summary>
internal interface IBatched
{
    void EndBatch();
}

/// <summary>
/// What a thread puts off while it goes through many requests: handing them to the group, and sending the answers. Batches of one thread may be nested; the outermost
/// ends them.
/// </summary>
internal static class OutputBatch
{
    [ThreadStatic]
    private static List<IBatched>? _waiting;

    [ThreadStatic]
    private static int _depth;

    public static void Begin() => _depth++;

    /// <summary>False when this thread has no batch: then the caller does it at once.</summary>
    public static bool Add(IBatched item)
    {
        if (_depth == 0)
            return false;
        (_waiting ??= []).Add(item);
        return true;
    }

    /// <summary>The same for what many requests of a batch name.</summary>
    public static bool AddOnce(IBatched item)
    {
        if (_depth == 0)
            return false;
        _waiting ??= [];
        return _waiting.Contains(item) || Add(item);
    }

    public static void End()
    {
        if (--_depth > 0 || _waiting is not { Count: > 0 } waiting)
            return;
        // What one of them does may begin a batch of its own.
        _waiting = null;
        foreach (var item in waiting)
            item.EndBatch();
        waiting.Clear();
        _waiting ??= waiting;
    }
}
