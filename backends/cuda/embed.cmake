# FATBINS (a list of files), OUT: the compiled kernels within one C++ source, behind the table that modules.h declares. The assembler reads the files.
set(text "#include \"cuda/modules.h\"\n\n")
set(rows "")
foreach(file ${FATBINS})
  get_filename_component(name ${file} NAME_WE)
  string(APPEND text "asm(\".section .rodata\\n.balign 64\\nkl_fatbin_${name}:\\n.incbin \\\"${file}\\\"\\n.balign 8\\n.previous\\n\");\n"
    "extern \"C\" [[gnu::visibility(\"hidden\")]] const unsigned char kl_fatbin_${name}[];\n")
  string(APPEND rows "    {\"${name}\", kl_fatbin_${name}},\n")
endforeach()
file(WRITE ${OUT} "${text}\nnamespace kl::cuda {\n\nconst EmbeddedKernels kEmbeddedKernels[] = {\n${rows}};\nconst size_t kEmbeddedKernelCount = sizeof kEmbeddedKernels / sizeof kEmbeddedKernels[0];\n\n}  // namespace kl::cuda\n")
