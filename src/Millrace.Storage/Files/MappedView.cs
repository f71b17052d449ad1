using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;

namespace Millrace.Storage.Files;

/// <summary>A view by mmap.</summary>
internal sealed unsafe class MappedView : FileView
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly int _length;
    private byte* _start;

    public MappedView(SafeFileHandle handle, long length)
    {
        _length = checked((int)length);
        _file = MemoryMappedFile.CreateFromFile(handle, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
        _view = _file.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _start);
        _start += _view.PointerOffset;
    }

    public override ReadOnlySpan<byte> Content => new(_start, _start is null ? 0 : _length);

    public override void Dispose()
    {
        if (_start is null)
            return;
        _start = null;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}
